// Shared memory with 2 MiB pages: the ladder hugetlb -> transparent -> collapse.
#pragma once
#include <cstdint>

#include "buffers.h"

namespace refill {

enum class PagesBy : int { none = 0, hugetlb = 1, thp = 2, collapse = 3 };

struct Arena {
  BufferRef buffer;
  uint64_t pageBytes = kPageBytes;
  PagesBy pagesBy = PagesBy::none;
};

/**
 * A memfd of exactly `bytes` (a multiple of 2 MiB), sealed against shrinking and growing, mapped and touched.
 * Returns 0 or minus errno. `upTo` limits the ladder, for tests.
 */
int createArena(uint64_t bytes, Arena& arena, PagesBy upTo = PagesBy::collapse);

/** Bytes of this mapping that the kernel maps by 2 MiB entries, from /proc/self/smaps. */
uint64_t hugeMappedBytes(const void* base);

}  // namespace refill
