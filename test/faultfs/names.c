// Operations on names. In volatile mode each change is recorded with what it takes to undo it.
#include "faultfs.h"
#include <dirent.h>
#include <sys/statvfs.h>

static void reply(fuse_req_t req, int error) { fuse_reply_err(req, error); }

static void lookup(fuse_req_t req, fuse_ino_t parent, const char *name) {
  struct fuse_entry_param entry;
  int error = node_lookup(node_of(parent), name, &entry);
  if (error) reply(req, error);
  else fuse_reply_entry(req, &entry);
}

static void forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups) {
  node_forget(node_of(ino), lookups);
  fuse_reply_none(req);
}

static void forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets) {
  for (size_t i = 0; i < count; i++) node_forget(node_of(forgets[i].ino), forgets[i].nlookup);
  fuse_reply_none(req);
}

static void create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi) {
  struct node *dir = node_of(parent);
  struct fuse_entry_param entry;
  bool wants_direct = fi->flags & O_DIRECT;
  struct verdict direct = {0}, made = judge(CREATE, name);
  if (wants_direct) direct = judge(OPENDIRECT, name);
  int error = made.error && !made.after ? made.error : direct.error;
  if (error) return reply(req, error);
  pthread_mutex_lock(&volatile_lock);
  bool existed = faccessat(dir->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  // In fault mode the backing file is always buffered: pre-images and torn pages then need no alignment.
  int flags = (fi->flags | O_CREAT) & ~(O_NOFOLLOW | (plain ? 0 : O_DIRECT));
  int fd = openat(dir->fd, name, flags | O_CLOEXEC, mode);
  if (fd < 0 && errno == EINVAL && wants_direct) fd = openat(dir->fd, name, (flags & ~(O_DIRECT | O_EXCL)) | O_CLOEXEC, mode);
  error = fd < 0 ? errno : node_lookup(dir, name, &entry);
  if (!error && is_volatile && !existed) volatile_record(MADE, dir, name, NULL, NULL, 0, 0);
  struct handle *handle = error ? NULL : malloc(sizeof *handle);
  if (handle) *handle = (struct handle){fd, wants_direct, generation, node_of(entry.ino)};
  pthread_mutex_unlock(&volatile_lock);
  if (!error && made.error) error = made.error;
  if (error) {
    if (fd >= 0) close(fd);
    if (handle) node_forget(handle->node, 1);
    free(handle);
    return reply(req, error);
  }
  fi->fh = (uintptr_t)handle;
  file_flags(fi);
  fuse_reply_create(req, &entry, fi);
}

static void make_dir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode) {
  struct node *dir = node_of(parent);
  struct fuse_entry_param entry;
  struct verdict verdict = judge(MKDIR, name);
  if (verdict.error && !verdict.after) return reply(req, verdict.error);
  pthread_mutex_lock(&volatile_lock);
  int error = mkdirat(dir->fd, name, mode) < 0 ? errno : 0;
  if (!error && is_volatile) volatile_record(MADE_DIR, dir, name, NULL, NULL, 0, 0);
  pthread_mutex_unlock(&volatile_lock);
  if (!error) error = verdict.error ? verdict.error : node_lookup(dir, name, &entry);
  if (error) reply(req, error);
  else fuse_reply_entry(req, &entry);
}

static void make_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name) {
  struct node *dir = node_of(parent);
  struct fuse_entry_param entry;
  char path[64];
  struct verdict verdict = judge(LINK, name);
  if (verdict.error && !verdict.after) return reply(req, verdict.error);
  snprintf(path, sizeof path, "/proc/self/fd/%d", node_of(ino)->fd);
  pthread_mutex_lock(&volatile_lock);
  int error = linkat(AT_FDCWD, path, dir->fd, name, AT_SYMLINK_FOLLOW) < 0 ? errno : 0;
  if (!error && is_volatile) volatile_record(MADE, dir, name, NULL, NULL, 0, 0);
  pthread_mutex_unlock(&volatile_lock);
  if (!error) error = verdict.error ? verdict.error : node_lookup(dir, name, &entry);
  if (error) reply(req, error);
  else fuse_reply_entry(req, &entry);
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, enum op op) {
  struct node *dir = node_of(parent);
  struct verdict verdict = judge(op, name);
  if (verdict.error && !verdict.after) return reply(req, verdict.error);
  pthread_mutex_lock(&volatile_lock);
  uint64_t kept = 0;
  struct stat st = {0};
  int error = 0;
  if (is_volatile) {
    if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) error = errno;
    else if (op == UNLINK) error = volatile_keep_target(dir, name, &kept);
  }
  if (!error && unlinkat(dir->fd, name, op == RMDIR ? AT_REMOVEDIR : 0) < 0) error = errno;
  if (!error && is_volatile) volatile_record(op == RMDIR ? REMOVED_DIR : REMOVED, dir, name, NULL, NULL, kept, st.st_mode & 07777);
  pthread_mutex_unlock(&volatile_lock);
  reply(req, error ? error : verdict.error);
}
static void unlink_name(fuse_req_t req, fuse_ino_t parent, const char *name) { remove_name(req, parent, name, UNLINK); }
static void remove_dir(fuse_req_t req, fuse_ino_t parent, const char *name) { remove_name(req, parent, name, RMDIR); }

static void rename_name(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                        const char *new_name, unsigned flags) {
  struct node *from = node_of(parent), *to = node_of(new_parent);
  struct verdict verdict = judge(RENAME, new_name);
  if (verdict.error && !verdict.after) return reply(req, verdict.error);
  pthread_mutex_lock(&volatile_lock);
  uint64_t kept = 0;
  struct stat a, b;
  int error = 0;
  bool replaces = is_volatile && !(flags & (RENAME_EXCHANGE | RENAME_NOREPLACE)) &&
                  fstatat(from->fd, name, &a, AT_SYMLINK_NOFOLLOW) == 0 && fstatat(to->fd, new_name, &b, AT_SYMLINK_NOFOLLOW) == 0;
  if (replaces && a.st_ino != b.st_ino && !S_ISDIR(b.st_mode)) error = volatile_keep_target(to, new_name, &kept);
  if (!error && renameat2(from->fd, name, to->fd, new_name, flags) < 0) error = errno;
  // Renaming one link of a file onto another of it changes nothing.
  if (!error && is_volatile && !(replaces && a.st_ino == b.st_ino))
    volatile_record(flags & RENAME_EXCHANGE ? SWAPPED : MOVED, from, name, to, new_name, kept, 0);
  pthread_mutex_unlock(&volatile_lock);
  reply(req, error ? error : verdict.error);
}

static void open_dir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
  int fd = node_open(node_of(ino), O_RDONLY | O_DIRECTORY);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  if (!dir) return reply(req, errno);
  fi->fh = (uintptr_t)dir;
  fuse_reply_open(req, fi);
}

static void read_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi) {
  (void)ino;
  DIR *dir = (DIR *)(uintptr_t)fi->fh;
  char *buffer = malloc(size);
  size_t used = 0;
  if (!buffer) return reply(req, ENOMEM);
  if (offset == 0) rewinddir(dir); // the kernel reads one handle's directory in order or from the start
  else seekdir(dir, offset);
  for (struct dirent *one; (one = readdir(dir));) {
    struct stat st = {.st_ino = one->d_ino, .st_mode = (mode_t)one->d_type << 12};
    size_t length = fuse_add_direntry(req, buffer + used, size - used, one->d_name, &st, one->d_off);
    if (length > size - used) break;
    used += length;
  }
  fuse_reply_buf(req, buffer, used);
  free(buffer);
}

static void release_dir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
  (void)ino;
  closedir((DIR *)(uintptr_t)fi->fh);
  reply(req, 0);
}

static void fsync_dir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi) {
  (void)datasync;
  struct node *dir = node_of(ino);
  struct verdict verdict = judge(FSYNCDIR, dir->name);
  if ((verdict.error && !verdict.after) || verdict.lie) return reply(req, verdict.error);
  int error = 0;
  pthread_mutex_lock(&volatile_lock);
  if (is_volatile) volatile_synced_dir(dir);
  else if (fsync(dirfd((DIR *)(uintptr_t)fi->fh)) < 0) error = errno;
  pthread_mutex_unlock(&volatile_lock);
  reply(req, error ? error : verdict.error);
}

static void stat_fs(fuse_req_t req, fuse_ino_t ino) {
  (void)ino;
  struct statvfs st;
  if (fstatvfs(root.fd, &st) < 0) reply(req, errno);
  else fuse_reply_statfs(req, &st);
}

const struct fuse_lowlevel_ops name_ops = {
    .lookup = lookup, .forget = forget, .forget_multi = forget_multi, .create = create, .mkdir = make_dir,
    .link = make_link, .unlink = unlink_name, .rmdir = remove_dir, .rename = rename_name, .opendir = open_dir,
    .readdir = read_dir, .releasedir = release_dir, .fsyncdir = fsync_dir, .statfs = stat_fs};
