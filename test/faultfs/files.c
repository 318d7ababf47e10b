// Operations on files. Every request reaches us at once: all files are opened with direct_io.
#include "faultfs.h"
#include <sys/file.h>

static struct handle *handle_of(struct fuse_file_info *fi) { return (struct handle *)(uintptr_t)fi->fh; }

// O_DIRECT on the backing file needs aligned memory; one buffer a thread also spares the page faults.
static uint8_t *thread_buffer(void) {
  static _Thread_local uint8_t *buffer;
  if (!buffer && posix_memalign((void **)&buffer, 1 << 21, REQUEST_BYTES_MAX) != 0) abort();
  return buffer;
}

// A machine that lost power has no open files: handles from before a crash are dead. The backing file is
// buffered in fault mode, so what O_DIRECT would refuse has to be refused here.
static int refusal(const struct handle *handle, off_t offset, size_t size) {
  if (plain) return 0;
  if (handle->generation != generation) return EIO;
  return handle->direct && ((offset | size) & (SECTOR_BYTES - 1)) ? EINVAL : 0;
}

static void get_attr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
  (void)fi;
  struct stat st;
  if (fstatat(node_of(ino)->fd, "", &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0) fuse_reply_err(req, errno);
  else fuse_reply_attr(req, &st, plain ? 1.0 : 0.0);
}

static int resize(struct node *node, struct handle *handle, off_t size, bool *done) {
  struct verdict verdict = judge(TRUNCATE, node->name);
  if (handle && refusal(handle, 0, 0)) return refusal(handle, 0, 0);
  if (verdict.error && !verdict.after) return verdict.error;
  *done = true;
  if (verdict.lie) return 0;
  int fd = handle ? handle->fd : node_open(node, O_WRONLY);
  if (fd < 0) return errno;
  struct stat st;
  pthread_mutex_lock(&volatile_lock);
  int error = fstat(fd, &st) < 0 ? errno : is_volatile ? volatile_save(node, size, st.st_size - size) : 0;
  if (!error && ftruncate(fd, size) < 0) error = errno;
  pthread_mutex_unlock(&volatile_lock);
  if (!handle) close(fd);
  return error ? error : verdict.error;
}

static void set_attr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int valid, struct fuse_file_info *fi) {
  struct node *node = node_of(ino);
  char path[64];
  bool done = false;
  int error = 0;
  snprintf(path, sizeof path, "/proc/self/fd/%d", node->fd);
  if (valid & FUSE_SET_ATTR_MODE && chmod(path, attr->st_mode) < 0) error = errno;
  if (!error && valid & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) {
    uid_t uid = valid & FUSE_SET_ATTR_UID ? attr->st_uid : (uid_t)-1;
    gid_t gid = valid & FUSE_SET_ATTR_GID ? attr->st_gid : (gid_t)-1;
    if (fchownat(node->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0) error = errno;
  }
  if (!error && valid & FUSE_SET_ATTR_SIZE) error = resize(node, fi ? handle_of(fi) : NULL, attr->st_size, &done);
  if (!error && valid & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME)) {
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
    if (valid & FUSE_SET_ATTR_ATIME_NOW) times[0].tv_nsec = UTIME_NOW;
    else if (valid & FUSE_SET_ATTR_ATIME) times[0] = attr->st_atim;
    if (valid & FUSE_SET_ATTR_MTIME_NOW) times[1].tv_nsec = UTIME_NOW;
    else if (valid & FUSE_SET_ATTR_MTIME) times[1] = attr->st_mtim;
    if (utimensat(AT_FDCWD, path, times, 0) < 0) error = errno;
  }
  if (error) fuse_reply_err(req, error);
  else get_attr(req, ino, NULL);
}

static void open_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
  struct node *node = node_of(ino);
  struct verdict opened = judge(OPEN, node->name), direct = {0};
  bool wants_direct = fi->flags & O_DIRECT;
  if (wants_direct) direct = judge(OPENDIRECT, node->name);
  if (opened.error || direct.error) return (void)fuse_reply_err(req, opened.error ? opened.error : direct.error);
  int flags = fi->flags & ~O_TRUNC & ~(plain ? 0 : O_DIRECT);
  int fd = node_open(node, flags);
  if (fd < 0 && errno == EINVAL && wants_direct) fd = node_open(node, flags & ~O_DIRECT);
  struct handle *handle = fd < 0 ? NULL : malloc(sizeof *handle);
  if (!handle) return (void)fuse_reply_err(req, errno);
  *handle = (struct handle){fd, wants_direct, generation, node};
  fi->fh = (uintptr_t)handle;
  file_flags(fi);
  fuse_reply_open(req, fi);
}

static void release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
  (void)ino;
  close(handle_of(fi)->fd);
  free(handle_of(fi));
  fuse_reply_err(req, 0);
}

static void flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
  (void)ino, (void)fi;
  fuse_reply_err(req, 0);
}

static void read_file(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi) {
  (void)ino;
  struct handle *handle = handle_of(fi);
  struct verdict verdict = judge(READ, handle->node->name);
  int error = refusal(handle, offset, size);
  if (error || verdict.error) return (void)fuse_reply_err(req, error ? error : verdict.error);
  if (verdict.bytes >= 0 && (uint64_t)verdict.bytes < size) size = verdict.bytes;
  uint8_t *buffer = thread_buffer();
  size_t got = 0;
  while (got < size) {
    ssize_t n = pread(handle->fd, buffer + got, size - got, offset + got);
    if (n < 0) return (void)fuse_reply_err(req, errno);
    if (n == 0) break;
    got += n;
    if (got % SECTOR_BYTES) break; // end of file, and O_DIRECT could not go on from here
  }
  // What a cache holds that was filled before the write.
  if (verdict.lie) memset(buffer, 0, got);
  fuse_reply_buf(req, (char *)buffer, got);
}

static int write_range(struct handle *handle, const uint8_t *bytes, size_t size, off_t offset) {
  int error = 0;
  if (!plain) {
    pthread_mutex_lock(&volatile_lock);
    if (handle->generation != generation) error = EIO;
    else if (is_volatile) error = volatile_save(handle->node, offset, size);
    if (!is_volatile) pthread_mutex_unlock(&volatile_lock);
  }
  bool locked = !plain && is_volatile;
  for (size_t done = 0; !error && done < size;) {
    ssize_t n = pwrite(handle->fd, bytes + done, size - done, offset + done);
    if (n < 0) error = errno;
    else done += n;
  }
  if (locked) pthread_mutex_unlock(&volatile_lock);
  if (!plain && !error) writelog_add(handle->node, offset, size);
  return error;
}

static int write_torn(struct handle *handle, const uint8_t *bytes, size_t size, off_t offset, const struct verdict *verdict) {
  for (size_t at = 0, page = 0; at < size; page++) {
    size_t length = PAGE_BYTES - (offset + at) % PAGE_BYTES;
    if (length > size - at) length = size - at;
    bool keep = verdict->keep >= 0 ? (int64_t)page < verdict->keep : mix(verdict->seed ^ mix(page)) & 1;
    int error = keep ? write_range(handle, bytes + at, length, offset + at) : 0;
    if (error) return error;
    at += length;
  }
  return 0;
}

static void write_file(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *source, off_t offset, struct fuse_file_info *fi) {
  (void)ino;
  struct handle *handle = handle_of(fi);
  struct verdict verdict = judge(WRITE, handle->node->name);
  size_t size = fuse_buf_size(source);
  struct fuse_bufvec target = FUSE_BUFVEC_INIT(size);
  target.buf[0].mem = thread_buffer();
  ssize_t copied = fuse_buf_copy(&target, source, 0);
  int error = copied < 0 ? -copied : refusal(handle, offset, size);
  if (!error && !verdict.torn && !verdict.after) error = verdict.error;
  if (error) return (void)fuse_reply_err(req, error);
  if (verdict.bytes >= 0 && (uint64_t)verdict.bytes < size) size = verdict.bytes;
  if (verdict.torn) error = write_torn(handle, thread_buffer(), size, offset, &verdict);
  else if (!verdict.lie) error = write_range(handle, thread_buffer(), size, offset);
  if (!error) error = verdict.error;
  if (error) fuse_reply_err(req, error);
  else fuse_reply_write(req, size);
}

static void sync_file(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi) {
  struct node *node = node_of(ino);
  struct handle *handle = handle_of(fi);
  struct verdict verdict = judge(datasync ? FDATASYNC : FSYNC, node->name);
  bool fails = verdict.error && !verdict.after;
  int error = refusal(handle, 0, 0);
  pthread_mutex_lock(&volatile_lock);
  bool keeps = is_volatile;
  if (!error && keeps && !verdict.lie) volatile_synced(node, fails);
  pthread_mutex_unlock(&volatile_lock);
  if (!error && !keeps && !verdict.lie && !fails && (datasync ? fdatasync(handle->fd) : fsync(handle->fd)) < 0) error = errno;
  fuse_reply_err(req, error ? error : verdict.error);
}

static void allocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length, struct fuse_file_info *fi) {
  struct handle *handle = handle_of(fi);
  struct verdict verdict = judge(FALLOCATE, handle->node->name);
  int error = refusal(handle, 0, 0);
  if (!error && !verdict.after) error = verdict.error;
  pthread_mutex_lock(&volatile_lock);
  if (!error && is_volatile) // FALLOC_FL_KEEP_SIZE alone leaves every byte as it was
    error = mode & ~1 ? volatile_save(node_of(ino), offset, length) : volatile_touch(node_of(ino));
  if (!error && fallocate(handle->fd, mode, offset, length) < 0) error = errno;
  pthread_mutex_unlock(&volatile_lock);
  fuse_reply_err(req, error ? error : verdict.error);
}

static void seek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi) {
  (void)ino;
  off_t at = lseek(handle_of(fi)->fd, offset, whence);
  if (at < 0) fuse_reply_err(req, errno);
  else fuse_reply_lseek(req, at);
}

const struct fuse_lowlevel_ops file_ops = {
    .getattr = get_attr, .setattr = set_attr, .open = open_file, .release = release, .flush = flush, .read = read_file,
    .write_buf = write_file, .fsync = sync_file, .fallocate = allocate, .lseek = seek};
