// What the file system under a root can do.
#pragma once
#include <cstdint>

namespace refill {

enum class AlignmentSource : int { statx = 0, probe = 1, assumed = 2 };

struct DirectProbe {
  bool direct = false;
  /** errno of the refusal, 0 when it works. */
  int error = 0;
  uint32_t alignmentBytes = 4096;
  AlignmentSource source = AlignmentSource::assumed;
};

/** Opens, writes and reads a temporary file with O_DIRECT; removes it. 0 or errno when not even that was possible. */
int probeDirect(int root, DirectProbe& out);

}  // namespace refill
