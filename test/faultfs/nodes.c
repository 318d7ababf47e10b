// Inodes of the backing directory. One node per inode lives as long as the kernel or a record of ours refers to
// it; its O_PATH descriptor keeps the inode number from being reused meanwhile.
#include "faultfs.h"

#define BUCKETS 4096
struct node root = {.lookups = 2, .io_fd = -1};
static struct node *buckets[BUCKETS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct node *node_of(fuse_ino_t ino) { return ino == FUSE_ROOT_ID ? &root : (struct node *)(uintptr_t)ino; }

static struct node **bucket_of(dev_t dev, ino_t ino) { return &buckets[mix(ino ^ ((uint64_t)dev << 40)) % BUCKETS]; }

int node_lookup(struct node *parent, const char *name, struct fuse_entry_param *entry) {
  memset(entry, 0, sizeof *entry);
  // Nothing is cached by the kernel in fault mode, so that every call is seen and a crash shows at once.
  entry->attr_timeout = entry->entry_timeout = plain ? 1.0 : 0.0;
  int fd = openat(parent->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return errno;
  if (fstatat(fd, "", &entry->attr, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0) {
    int error = errno;
    close(fd);
    return error;
  }
  pthread_mutex_lock(&lock);
  struct node **bucket = bucket_of(entry->attr.st_dev, entry->attr.st_ino), *node = *bucket;
  while (node && (node->ino != entry->attr.st_ino || node->dev != entry->attr.st_dev)) node = node->next;
  if (node) {
    close(fd);
  } else {
    node = calloc(1, sizeof *node);
    if (!node) abort();
    *node = (struct node){.next = *bucket, .dev = entry->attr.st_dev, .ino = entry->attr.st_ino, .fd = fd, .io_fd = -1};
    *bucket = node;
  }
  if (!node->name || strcmp(node->name, name) != 0) {
    struct name *seen = malloc(sizeof *seen + strlen(name) + 1);
    if (!seen) abort();
    seen->older = node->names;
    node->names = seen;
    node->name = strcpy(seen->text, name);
  }
  node->lookups++;
  entry->ino = (uintptr_t)node;
  pthread_mutex_unlock(&lock);
  return 0;
}

static void drop_if_free(struct node *node) {
  if (node == &root || node->lookups || node->pins) return;
  struct node **link = bucket_of(node->dev, node->ino);
  while (*link != node) link = &(*link)->next;
  *link = node->next;
  close(node->fd);
  if (node->io_fd >= 0) close(node->io_fd);
  for (struct name *seen = node->names, *older; seen; seen = older) {
    older = seen->older;
    free(seen);
  }
  free(node);
}

void node_forget(struct node *node, uint64_t lookups) {
  pthread_mutex_lock(&lock);
  if (node != &root) node->lookups -= lookups;
  drop_if_free(node);
  pthread_mutex_unlock(&lock);
}

void node_pin(struct node *node) {
  pthread_mutex_lock(&lock);
  node->pins++;
  pthread_mutex_unlock(&lock);
}

void node_unpin(struct node *node) {
  pthread_mutex_lock(&lock);
  node->pins--;
  drop_if_free(node);
  pthread_mutex_unlock(&lock);
}

int node_open(struct node *node, int flags) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", node->fd);
  return open(path, (flags & ~O_NOFOLLOW) | O_CLOEXEC);
}

// Dirty nodes are pinned, so none of those gathered can go away while it is visited.
void nodes_each_dirty(void (*visit)(struct node *, void *), void *context) {
  struct node **dirty = NULL;
  size_t count = 0;
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < BUCKETS; i++)
    for (struct node *node = buckets[i]; node; node = node->next)
      if (node->dirty) {
        dirty = realloc(dirty, (count + 1) * sizeof *dirty);
        if (!dirty) abort();
        dirty[count++] = node;
      }
  pthread_mutex_unlock(&lock);
  for (size_t i = 0; i < count; i++) visit(dirty[i], context);
  free(dirty);
}
