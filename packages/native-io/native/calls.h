// Calls on the file system that are not block I/O. Each may hang and so runs on the control threads.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "files.h"

namespace refill::calls {

struct OpenRequest {
  std::string path;
  bool create, write;
  /** Try O_DIRECT; round I/O up to 4 KiB whether it is granted or not. */
  bool direct, padded;
  int64_t sizeBytes;
  std::vector<uint8_t> identity;
};

struct Stat {
  int64_t sizeBytes, allocatedBytes, modifiedMs;
  bool directory;
};

struct FsStat {
  uint64_t totalBytes, freeBytes, freeFiles, type;
};

/** All return 0 or an errno (positive). */
int openRoot(const std::string& path, int& fd);
int open(int root, const OpenRequest& request, FileRef& file);
int stat(int root, const std::string& path, Stat& out);
int statfs(int root, FsStat& out);
/** With parents; an existing directory is fine. */
int mkdir(int root, const std::string& path);
/** EWOULDBLOCK when another holds it. */
int lock(int root, const std::string& path, int& fd);
int list(int root, const std::string& path, std::vector<std::string>& names);
int unlink(int root, const std::string& path);
/** EFBIG above `maxBytes`. */
int readFile(int root, const std::string& path, uint64_t maxBytes, std::string& bytes);
/** Temporary file, fdatasync, rename, fsync of the directory. */
int writeFile(int root, const std::string& path, const std::string& bytes);

/** Names that `list` hides: what a crash inside `writeFile` leaves behind. */
constexpr const char* kTemporaryPrefix = ".refill-tmp-";

}  // namespace refill::calls
