#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#ifndef SYS_openat2
#define SYS_openat2 437
#endif

namespace refill::paths {
namespace {

// <linux/openat2.h> is missing from old headers.
struct OpenHow {
  uint64_t flags, mode, resolve;
};
constexpr uint64_t kNoMagicLinks = 2, kNoSymlinks = 4, kBeneath = 8;

std::atomic<bool> missing{false};

}  // namespace

int check(const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos) return EINVAL;
  if (path[0] == '/') return EXDEV;
  for (size_t at = 0; at <= path.size();) {
    size_t end = path.find('/', at);
    if (end == std::string::npos) end = path.size();
    if (path.compare(at, end - at, "..") == 0) return EXDEV;
    at = end + 1;
  }
  return 0;
}

int openBeneath(int root, const std::string& path, int flags, mode_t mode) {
  if (const int error = check(path)) return -error;
  flags |= O_CLOEXEC;
  if (!missing.load(std::memory_order_relaxed)) {
    OpenHow how = {uint64_t(flags), flags & O_CREAT ? mode : 0u, kNoMagicLinks | kNoSymlinks | kBeneath};
    for (int attempt = 0; attempt < 8; attempt++) {
      const long fd = syscall(SYS_openat2, root, path.c_str(), &how, sizeof how);
      if (fd >= 0) return int(fd);
      // A rename raced with the resolution.
      if (errno != EAGAIN) break;
    }
    // EPERM comes from a seccomp filter as well as from the file system: the walk tells which.
    if (errno == ENOSYS) missing = true;
    else if (errno != EPERM) return -errno;
  }
  return openByWalk(root, path, flags, mode);
}

int openByWalk(int root, const std::string& path, int flags, mode_t mode) {
  if (const int error = check(path)) return -error;
  int at = root;
  size_t from = 0;
  for (;;) {
    while (from < path.size() && path[from] == '/') from++;
    size_t end = path.find('/', from);
    const bool last = end == std::string::npos || path.find_first_not_of('/', end) == std::string::npos;
    const std::string name = path.substr(from, end == std::string::npos ? end : end - from);
    const int fd = last ? openat(at, name.empty() ? "." : name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode)
                        : openat(at, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    const int error = errno;
    if (at != root) close(at);
    if (fd < 0) return error == ENOTDIR && !last ? -ELOOP : -error;
    if (last) return fd;
    at = fd;
    from = end + 1;
  }
}

int openParent(int root, const std::string& path, std::string& name) {
  if (const int error = check(path)) return -error;
  const size_t end = path.find_last_not_of('/');
  const size_t slash = path.rfind('/', end);
  name = path.substr(slash == std::string::npos ? 0 : slash + 1, end - (slash == std::string::npos ? -1 : slash));
  if (name == ".") return -EINVAL;
  return openBeneath(root, slash == std::string::npos ? "." : path.substr(0, slash), O_PATH | O_DIRECTORY, 0);
}

}  // namespace refill::paths
