// Open files of the process, by id. A file closes when the last operation that uses it is done.
#pragma once
#include <cstdint>
#include <memory>

#include "batch.h"

namespace refill {

struct OpenFile {
  int fd = -1;
  /** Opened with O_DIRECT. */
  bool direct = false;
  /** Asked for O_DIRECT: I/O is rounded up to 4 KiB even where it was refused, so that the bytes are the same. */
  bool padded = false;
  bool writable = false;
  uint8_t identity[kFileIdentityBytes] = {};
  /** Index in the table, also in the tables of registered files of the rings. */
  uint32_t slot = 0;
  /** Never used twice in a process. */
  uint64_t uid = 0;

  ~OpenFile();
};

using FileRef = std::shared_ptr<OpenFile>;

constexpr uint32_t kFileSlots = 65536;

namespace files {
/** Id of the file, or 0 when the table is full. */
uint32_t add(FileRef file);
FileRef find(uint32_t id);
bool remove(uint32_t id);
/** Unique id of the file now in this slot, 0 when there is none. */
uint64_t ownerOf(uint32_t slot);
/** Grows whenever a file or buffer goes away: rings let go of what they registered. */
uint64_t departures();
void noteDeparture();
/** How the last reference closes: set once to a function that does it on a thread which may hang. */
extern void (*closeLater)(int fd);
uint32_t openCount();
}  // namespace files

}  // namespace refill
