#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"

namespace refill {
namespace {

// statx as of Linux 6.1, for headers that stop before.
struct Statx {
  uint32_t mask, blockSize;
  uint64_t attributes;
  uint32_t links, uid, gid;
  uint16_t mode, spare;
  uint64_t inode, size, blocks, attributesMask;
  uint64_t times[8];
  uint32_t devices[4];
  uint64_t mountId;
  uint32_t directMemoryAlignment, directOffsetAlignment;
  uint64_t more[12];
};
static_assert(sizeof(Statx) == 256, "struct statx");
constexpr unsigned kStatxDioAlign = 0x2000;

uint32_t statedAlignment(int fd) {
  Statx info = {};
  if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, kStatxDioAlign, &info) != 0 || !(info.mask & kStatxDioAlign)) return 0;
  return info.directOffsetAlignment > info.directMemoryAlignment ? info.directOffsetAlignment
                                                                 : info.directMemoryAlignment;
}

/** Smallest alignment at which a write and a read both work, or 0 and errno. Errors may come as late as fdatasync. */
uint32_t triedAlignment(int fd, uint8_t* memory) {
  for (const uint32_t unit : {512u, 4096u}) {
    memset(memory, 0x5a, 8192);
    const bool works = pwrite(fd, memory + unit, unit, unit) == ssize_t(unit) && fdatasync(fd) == 0 &&
                       pread(fd, memory, unit, unit) == ssize_t(unit);
    if (works) return unit;
  }
  return 0;
}

}  // namespace

int probeDirect(int root, DirectProbe& out) {
  uint64_t random = 0;
  if (getrandom(&random, sizeof random, 0) != sizeof random) return EIO;
  char name[64];
  snprintf(name, sizeof name, "%sprobe-%016lx", calls::kTemporaryPrefix, static_cast<unsigned long>(random));
  const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
  int fd = openat(root, name, flags | O_EXCL | O_DIRECT, 0600);
  if (fd < 0) {
    out.error = errno;
    // Where O_DIRECT is refused the file may exist all the same.
    fd = openat(root, name, flags, 0600);
    if (fd < 0) return errno;
    close(fd);
    unlinkat(root, name, 0);
    return out.error == EINVAL || out.error == EOPNOTSUPP ? 0 : out.error;
  }
  void* memory = nullptr;
  if (posix_memalign(&memory, 4096, 8192) != 0) {
    close(fd);
    unlinkat(root, name, 0);
    return ENOMEM;
  }
  const uint32_t stated = statedAlignment(fd);
  const uint32_t tried = triedAlignment(fd, static_cast<uint8_t*>(memory));
  out.direct = tried != 0;
  out.error = out.direct ? 0 : errno;
  if (stated != 0) {
    out.alignmentBytes = stated;
    out.source = AlignmentSource::statx;
  } else if (tried != 0) {
    out.alignmentBytes = tried;
    out.source = AlignmentSource::probe;
  }
  free(memory);
  close(fd);
  unlinkat(root, name, 0);
  return 0;
}

}  // namespace refill
