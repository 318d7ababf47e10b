#include "calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>

#include "paths.h"

namespace refill::calls {
namespace {

/** Closes on the way out. */
struct Fd {
  int fd;
  ~Fd() {
    if (fd >= 0) close(fd);
  }
};

bool startsWith(const char* name, const char* prefix) { return strncmp(name, prefix, strlen(prefix)) == 0; }

int writeAll(int fd, const std::string& bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t moved = pwrite(fd, bytes.data() + at, bytes.size() - at, off_t(at));
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) return moved < 0 ? errno : EIO;
    at += size_t(moved);
  }
  return 0;
}

/** Makes the names in a folder durable. Its descriptor may be O_PATH, which cannot be synced itself. */
int syncFolder(int fd) {
  const Fd folder{openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (folder.fd < 0) return errno;
  return fsync(folder.fd) == 0 ? 0 : errno;
}

}  // namespace

int openRoot(const std::string& path, int& fd) {
  fd = ::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  return fd < 0 ? errno : 0;
}

int open(int root, const OpenRequest& request, FileRef& file) {
  int flags = request.write ? O_RDWR : O_RDONLY;
  if (request.create) flags |= O_CREAT | O_EXCL;
  // Nonblocking: a FIFO planted under the name must not hold the thread.
  flags |= O_NONBLOCK;
  auto opened = std::make_shared<OpenFile>();
  opened->fd = paths::openBeneath(root, request.path, flags | (request.direct ? O_DIRECT : 0), 0644);
  opened->direct = request.direct;
  if (request.direct && opened->fd == -EINVAL) {
    // Refused: buffered for the whole life of this file. An O_EXCL open may have left it behind.
    opened->direct = false;
    opened->fd = paths::openBeneath(root, request.path, flags & ~O_EXCL, 0644);
  }
  if (opened->fd < 0) {
    const int error = -opened->fd;
    opened->fd = -1;
    return error;
  }
  struct stat info;
  if (fstat(opened->fd, &info) != 0) return errno;
  if (!S_ISREG(info.st_mode)) return S_ISDIR(info.st_mode) ? EISDIR : EINVAL;
  if (!opened->direct && request.create && info.st_size != 0) return EEXIST;
  const int status = fcntl(opened->fd, F_GETFL);
  fcntl(opened->fd, F_SETFL, status & ~O_NONBLOCK);
  opened->padded = request.padded;
  opened->writable = request.write;
  if (request.sizeBytes >= 0 && ftruncate(opened->fd, off_t(request.sizeBytes)) != 0) {
    const int error = errno;
    std::string name;
    const Fd parent{paths::openParent(root, request.path, name)};
    // A file that could not get its size is of no use to anybody.
    if (request.create && parent.fd >= 0) unlinkat(parent.fd, name.c_str(), 0);
    return error;
  }
  // The name must be as durable as what is synced under it later: fdatasync of a new file need not reach its folder.
  if (request.create) {
    std::string name;
    const Fd parent{paths::openParent(root, request.path, name)};
    const int error = parent.fd < 0 ? -parent.fd : syncFolder(parent.fd);
    if (error != 0) return error;
  }
  // Readahead would cache zeros of blocks that another node has not published yet.
  if (!opened->direct) posix_fadvise(opened->fd, 0, 0, POSIX_FADV_RANDOM);
  memcpy(opened->identity, request.identity.data(), std::min<size_t>(request.identity.size(), kFileIdentityBytes));
  file = std::move(opened);
  return 0;
}

int stat(int root, const std::string& path, Stat& out) {
  const Fd fd{paths::openBeneath(root, path, O_PATH | O_NOFOLLOW, 0)};
  if (fd.fd < 0) return -fd.fd;
  struct stat info;
  if (fstat(fd.fd, &info) != 0) return errno;
  if (S_ISLNK(info.st_mode)) return ELOOP;
  out = {info.st_size, int64_t(info.st_blocks) * 512, info.st_mtim.tv_sec * 1000 + info.st_mtim.tv_nsec / 1000000,
         S_ISDIR(info.st_mode)};
  return 0;
}

int statfs(int root, FsStat& out) {
  struct statfs info;
  if (fstatfs(root, &info) != 0) return errno;
  const auto block = uint64_t(info.f_frsize > 0 ? info.f_frsize : info.f_bsize);
  out = {info.f_blocks * block, info.f_bavail * block, info.f_ffree, uint64_t(info.f_type) & 0xffffffff};
  return 0;
}

int mkdir(int root, const std::string& path) {
  if (const int error = paths::check(path)) return error;
  for (size_t at = 0; at < path.size();) {
    size_t end = path.find('/', at);
    if (end == std::string::npos) end = path.size();
    const std::string part = path.substr(0, end);
    at = end + 1;
    std::string name;
    const Fd parent{paths::openParent(root, part, name)};
    if (parent.fd < 0) return -parent.fd;
    if (mkdirat(parent.fd, name.c_str(), 0755) == 0) {
      if (const int error = syncFolder(parent.fd)) return error;
      continue;
    }
    if (errno != EEXIST) return errno;
    const Fd existing{paths::openBeneath(root, part, O_PATH | O_DIRECTORY, 0)};
    if (existing.fd < 0) return -existing.fd;
  }
  return 0;
}

int lock(int root, const std::string& path, int& fd) {
  Fd file{paths::openBeneath(root, path, O_RDWR | O_CREAT | O_NONBLOCK, 0644)};
  if (file.fd < 0) return -file.fd;
  if (flock(file.fd, LOCK_EX | LOCK_NB) != 0) return errno;
  fd = file.fd;
  file.fd = -1;
  return 0;
}

int list(int root, const std::string& path, std::vector<std::string>& names) {
  const int fd = paths::openBeneath(root, path, O_RDONLY | O_DIRECTORY, 0);
  if (fd == -ENOENT) return 0;
  if (fd < 0) return -fd;
  DIR* directory = fdopendir(fd);
  if (directory == nullptr) {
    const int error = errno;
    close(fd);
    return error;
  }
  errno = 0;
  while (const dirent* entry = readdir(directory)) {
    const char* name = entry->d_name;
    if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !startsWith(name, kTemporaryPrefix)) names.push_back(name);
    errno = 0;
  }
  const int error = errno;
  closedir(directory);
  std::sort(names.begin(), names.end());
  return error;
}

int unlink(int root, const std::string& path) {
  std::string name;
  const Fd parent{paths::openParent(root, path, name)};
  if (parent.fd < 0) return parent.fd == -ENOENT ? 0 : -parent.fd;
  if (unlinkat(parent.fd, name.c_str(), 0) != 0 && errno != ENOENT) return errno;
  // A name that a power cut brings back would bring back what was deleted, once its tombstones are gone too.
  return syncFolder(parent.fd);
}

int readFile(int root, const std::string& path, uint64_t maxBytes, std::string& bytes) {
  const Fd file{paths::openBeneath(root, path, O_RDONLY | O_NONBLOCK, 0)};
  if (file.fd < 0) return -file.fd;
  struct stat info;
  if (fstat(file.fd, &info) != 0) return errno;
  if (!S_ISREG(info.st_mode)) return S_ISDIR(info.st_mode) ? EISDIR : EINVAL;
  if (uint64_t(info.st_size) > maxBytes) return EFBIG;
  bytes.resize(size_t(info.st_size));
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t moved = pread(file.fd, bytes.data() + at, bytes.size() - at, off_t(at));
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0) return errno;
    if (moved == 0) {
      bytes.resize(at);
      break;
    }
    at += size_t(moved);
  }
  return 0;
}

// Order: content, fdatasync, rename, fsync of the directory. A crash leaves the old file and perhaps a temporary one
// that `list` hides; never a mixture.
int writeFile(int root, const std::string& path, const std::string& bytes) {
  std::string name;
  const Fd parent{paths::openParent(root, path, name)};
  if (parent.fd < 0) return -parent.fd;
  uint64_t random;
  if (getrandom(&random, sizeof random, 0) != sizeof random) return EIO;
  char suffix[32];
  snprintf(suffix, sizeof suffix, "%016lx", static_cast<unsigned long>(random));
  const std::string temporary = std::string(kTemporaryPrefix) + suffix;
  Fd file{openat(parent.fd, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644)};
  if (file.fd < 0) return errno;
  int error = writeAll(file.fd, bytes);
  if (error == 0 && fdatasync(file.fd) != 0) error = errno;
  // Some file systems tell of a failed write only here.
  if (close(file.fd) != 0 && error == 0) error = errno;
  file.fd = -1;
  if (error == 0 && renameat(parent.fd, temporary.c_str(), parent.fd, name.c_str()) != 0) error = errno;
  if (error != 0) {
    unlinkat(parent.fd, temporary.c_str(), 0);
    return error;
  }
  return syncFolder(parent.fd);
}

}  // namespace refill::calls
