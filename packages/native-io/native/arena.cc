#include "arena.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21u << 26)
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_SEAL_SEAL 1
#define F_SEAL_SHRINK 2
#define F_SEAL_GROW 4
#endif

namespace refill {
namespace {

int touch(uint8_t* base, uint64_t bytes) {
  if (madvise(base, bytes, MADV_POPULATE_WRITE) == 0) return 0;
  // EFAULT and ENOMEM mean that there is no memory: a plain touch would be killed.
  if (errno != EINVAL) return -errno;
  for (uint64_t at = 0; at < bytes; at += kPageBytes) *reinterpret_cast<volatile uint8_t*>(base + at) = 0;
  return 0;
}

int mapNew(uint64_t bytes, unsigned flags, Buffer& buffer) {
  buffer.fd = memfd_create("refill", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
  if (buffer.fd < 0) return -errno;
  if (ftruncate(buffer.fd, off_t(bytes)) != 0) return -errno;
  fcntl(buffer.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  buffer.base = buffers::mapAligned(buffer.fd, bytes, PROT_READ | PROT_WRITE);
  if (buffer.base == nullptr) return -errno;
  buffer.bytes = bytes;
  return 0;
}

void collapse(uint8_t* base, uint64_t bytes) {
  for (uint64_t at = 0; at < bytes; at += kHugePageBytes)
    for (int attempt = 0; attempt < 4; attempt++)
      if (madvise(base + at, kHugePageBytes, MADV_COLLAPSE) == 0 || errno == EINVAL) break;
}

}  // namespace

uint64_t hugeMappedBytes(const void* base) {
  FILE* file = fopen("/proc/self/smaps", "re");
  if (file == nullptr) return 0;
  char line[512];
  bool inside = false;
  uint64_t found = 0;
  while (fgets(line, sizeof line, file) != nullptr) {
    uint64_t from, to, kib;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &from, &to) == 2)
      inside = from == reinterpret_cast<uintptr_t>(base);
    else if (inside && (sscanf(line, "ShmemPmdMapped: %" SCNu64, &kib) == 1 ||
                        sscanf(line, "Shared_Hugetlb: %" SCNu64, &kib) == 1 ||
                        sscanf(line, "Private_Hugetlb: %" SCNu64, &kib) == 1))
      found += kib * 1024;
  }
  fclose(file);
  return found;
}

int createArena(uint64_t bytes, Arena& arena, PagesBy upTo) {
  if (upTo != PagesBy::none) {
    auto huge = std::make_shared<Buffer>();
    // The reservation is made by mmap, which fails at once when the pool of huge pages is too small.
    if (mapNew(bytes, MFD_HUGETLB | MFD_HUGE_2MB, *huge) == 0 && touch(huge->base, bytes) == 0) {
      arena = {huge, kHugePageBytes, PagesBy::hugetlb};
      return 0;
    }
  }
  auto buffer = std::make_shared<Buffer>();
  int error = mapNew(bytes, 0, *buffer);
  if (error != 0) return error;
  if (upTo == PagesBy::thp || upTo == PagesBy::collapse) madvise(buffer->base, bytes, MADV_HUGEPAGE);
  error = touch(buffer->base, bytes);
  if (error != 0) return error;
  arena = {buffer, kPageBytes, PagesBy::none};
  if (hugeMappedBytes(buffer->base) >= bytes) {
    arena.pageBytes = kHugePageBytes;
    arena.pagesBy = PagesBy::thp;
  } else if (upTo == PagesBy::collapse) {
    collapse(buffer->base, bytes);
    if (hugeMappedBytes(buffer->base) >= bytes) {
      arena.pageBytes = kHugePageBytes;
      arena.pagesBy = PagesBy::collapse;
    }
  }
  return 0;
}

}  // namespace refill
