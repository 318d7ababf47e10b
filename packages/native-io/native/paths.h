// Paths below a root directory: nothing that leaves it, no symbolic link on the way.
#pragma once
#include <sys/types.h>

#include <string>

namespace refill::paths {

/** 0, or EXDEV for a path that is absolute or has `..`, EINVAL for an empty one. */
int check(const std::string& path);
/** openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS), or a walk. Descriptor or minus errno. */
int openBeneath(int root, const std::string& path, int flags, mode_t mode);
/** The walk that serves where openat2 is missing or refused; for tests too. */
int openByWalk(int root, const std::string& path, int flags, mode_t mode);
/** Descriptor of the parent directory (O_PATH) and the last name. Descriptor or minus errno. */
int openParent(int root, const std::string& path, std::string& name);

}  // namespace refill::paths
