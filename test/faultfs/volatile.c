// What a power cut would take away. The backing directory holds the newest state; memory holds, until an fsync,
// the previous content of every page written since (its pre-image), the durable size of each file, and the
// changes of names in order. A crash puts some of that back.
//
// Data and size of a file become durable by fsync or fdatasync of the file; names only by fsync of a directory
// they belong to, which also settles every earlier change, as a journal does. A page whose fsync failed is lost
// in the kernel's eyes: a later fsync does not save it, only writing it again does.
#include "faultfs.h"

struct name_change {
  enum change change;
  struct node *from, *to;
  char *from_name, *to_name;
  uint64_t kept; // file in the undo directory that holds what was replaced or removed, 0 for none
  mode_t mode;
};

bool is_volatile;
unsigned generation;
int undo_fd = -1;
pthread_mutex_t volatile_lock = PTHREAD_MUTEX_INITIALIZER;
static struct name_change *journal;
static size_t journal_used, journal_room;
static uint64_t kept_last;

static struct preimage *slot_of(struct node *node, uint64_t page) {
  size_t i = mix(page) & (node->pages_room - 1);
  while (node->pages[i].page != UINT64_MAX && node->pages[i].page != page) i = (i + 1) & (node->pages_room - 1);
  return &node->pages[i];
}

static void resize(struct node *node, size_t room) {
  struct preimage *old = node->pages;
  size_t old_room = node->pages_room;
  node->pages = malloc(room * sizeof *node->pages);
  if (!node->pages) abort();
  node->pages_room = room;
  for (size_t i = 0; i < room; i++) node->pages[i].page = UINT64_MAX;
  for (size_t i = 0; i < old_room; i++)
    if (old[i].page != UINT64_MAX) *slot_of(node, old[i].page) = old[i];
  free(old);
}

int volatile_touch(struct node *node) {
  if (node->dirty) return 0;
  struct stat st;
  if (node->io_fd < 0) node->io_fd = node_open(node, O_RDWR);
  if (node->io_fd < 0 || fstat(node->io_fd, &st) < 0) return errno;
  node->durable_size = st.st_size;
  node->dirty = true;
  node_pin(node);
  return 0;
}

int volatile_save(struct node *node, off_t offset, off_t length) {
  int error = volatile_touch(node);
  if (error || length <= 0) return error;
  uint8_t bytes[PAGE_BYTES];
  for (uint64_t page = offset / PAGE_BYTES; page <= (uint64_t)(offset + length - 1) / PAGE_BYTES; page++) {
    if (2 * (node->pages_used + 1) > node->pages_room) resize(node, node->pages_room ? 2 * node->pages_room : 64);
    struct preimage *slot = slot_of(node, page);
    if (slot->page == page) {
      slot->lost = false;
      continue;
    }
    *slot = (struct preimage){.page = page};
    node->pages_used++;
    if ((off_t)(page * PAGE_BYTES) >= node->durable_size) continue;
    memset(bytes, 0, sizeof bytes);
    if (pread(node->io_fd, bytes, PAGE_BYTES, page * PAGE_BYTES) < 0) return errno;
    bool zeros = bytes[0] == 0 && memcmp(bytes, bytes + 1, PAGE_BYTES - 1) == 0;
    if (zeros) continue;
    slot->bytes = malloc(PAGE_BYTES);
    if (!slot->bytes) abort();
    memcpy(slot->bytes, bytes, PAGE_BYTES);
  }
  return 0;
}

static void settle(struct node *node, bool all) {
  struct preimage *old = node->pages;
  size_t old_room = node->pages_room;
  node->pages = NULL;
  node->pages_room = node->pages_used = 0;
  for (size_t i = 0; i < old_room; i++) {
    if (old[i].page == UINT64_MAX) continue;
    if (all || !old[i].lost) {
      free(old[i].bytes);
      continue;
    }
    if (2 * (node->pages_used + 1) > node->pages_room) resize(node, node->pages_room ? 2 * node->pages_room : 64);
    *slot_of(node, old[i].page) = old[i];
    node->pages_used++;
  }
  free(old);
  if (node->pages_used || !node->dirty) return;
  node->dirty = false;
  close(node->io_fd);
  node->io_fd = -1;
  node_unpin(node);
}

void volatile_synced(struct node *node, bool failed) {
  if (!node->dirty) return;
  if (failed) {
    for (size_t i = 0; i < node->pages_room; i++) node->pages[i].lost = true;
    return;
  }
  struct stat st;
  if (fstat(node->io_fd, &st) == 0) node->durable_size = st.st_size;
  settle(node, false);
}

// Keeps a second link to what is about to be replaced or removed; ENOENT when there is nothing.
int volatile_keep_target(struct node *parent, const char *name, uint64_t *kept) {
  char keep[32];
  *kept = ++kept_last;
  snprintf(keep, sizeof keep, "%lu", *kept);
  return linkat(parent->fd, name, undo_fd, keep, 0) < 0 ? errno : 0;
}

void volatile_record(enum change change, struct node *from, const char *from_name, struct node *to,
                     const char *to_name, uint64_t kept, mode_t mode) {
  if (journal_used == journal_room) {
    journal_room = journal_room ? 2 * journal_room : 64;
    journal = realloc(journal, journal_room * sizeof *journal);
    if (!journal) abort();
  }
  node_pin(from);
  if (to) node_pin(to);
  journal[journal_used++] = (struct name_change){change, from, to, strdup(from_name), to ? strdup(to_name) : NULL, kept, mode};
}

static void release(struct name_change *one) {
  char keep[32];
  snprintf(keep, sizeof keep, "%lu", one->kept);
  if (one->kept) unlinkat(undo_fd, keep, 0);
  node_unpin(one->from);
  if (one->to) node_unpin(one->to);
  free(one->from_name);
  free(one->to_name);
}

static void settle_names(size_t count) {
  for (size_t i = 0; i < count; i++) release(&journal[i]);
  journal_used -= count;
  memmove(journal, journal + count, journal_used * sizeof *journal);
}

void volatile_synced_dir(struct node *dir) {
  for (size_t i = journal_used; i > 0; i--)
    if (journal[i - 1].from == dir || journal[i - 1].to == dir) return settle_names(i);
}

static bool undo(const struct name_change *one) {
  char keep[32];
  snprintf(keep, sizeof keep, "%lu", one->kept);
  int from = one->from->fd, to = one->to ? one->to->fd : -1;
  switch (one->change) {
    case MADE: return unlinkat(from, one->from_name, 0) == 0;
    case MADE_DIR: return unlinkat(from, one->from_name, AT_REMOVEDIR) == 0;
    case REMOVED: return renameat(undo_fd, keep, from, one->from_name) == 0;
    case REMOVED_DIR: return mkdirat(from, one->from_name, one->mode) == 0;
    case SWAPPED: return renameat2(from, one->from_name, to, one->to_name, RENAME_EXCHANGE) == 0;
    case MOVED:
      if (renameat(to, one->to_name, from, one->from_name) < 0) return false;
      return !one->kept || renameat(undo_fd, keep, to, one->to_name) == 0;
  }
  return false;
}

static void settle_all(struct node *node, void *context) {
  (void)context;
  settle(node, true);
}

void volatile_forget(void) {
  settle_names(journal_used);
  nodes_each_dirty(settle_all, NULL);
}

struct crash { uint64_t seed; unsigned keep, drop, tear; uint64_t kept, dropped, torn, failed; };

// Drawn from names and offsets, not from the order of visits, so that a seed means the same in every run.
static uint64_t draw(const struct crash *crash, const struct node *node, uint64_t salt) {
  uint64_t value = crash->seed;
  for (const char *c = node->name ? node->name : ""; *c; c++) value = mix(value ^ (uint8_t)*c);
  return mix(mix(value) ^ salt);
}

static void crash_node(struct node *node, void *context) {
  struct crash *crash = context;
  struct stat st;
  if (fstat(node->io_fd, &st) < 0) abort();
  unsigned sum = crash->keep + crash->drop + crash->tear;
  off_t longest = st.st_size > node->durable_size ? st.st_size : node->durable_size;
  if (longest != st.st_size && ftruncate(node->io_fd, longest) < 0) crash->failed++;
  uint8_t old[PAGE_BYTES];
  for (size_t i = 0; i < node->pages_room; i++) {
    const struct preimage *one = &node->pages[i];
    if (one->page == UINT64_MAX) continue;
    uint64_t at = one->page * PAGE_BYTES, drawn = draw(crash, node, one->page);
    unsigned choice = drawn % sum;
    if (choice < crash->keep) {
      crash->kept++;
      continue;
    }
    if (one->bytes) memcpy(old, one->bytes, PAGE_BYTES);
    else memset(old, 0, PAGE_BYTES);
    bool tear = choice >= crash->keep + crash->drop;
    for (unsigned sector = 0; sector < PAGE_BYTES / SECTOR_BYTES; sector++) {
      if (tear && (drawn >> 32 >> sector & 1)) continue;
      off_t from = at + sector * SECTOR_BYTES;
      if (pwrite(node->io_fd, old + sector * SECTOR_BYTES, SECTOR_BYTES, from) < 0) crash->failed++;
    }
    if (tear) crash->torn++;
    else crash->dropped++;
  }
  bool keep_size = draw(crash, node, UINT64_MAX) % sum < crash->keep;
  if (ftruncate(node->io_fd, keep_size ? st.st_size : node->durable_size) < 0) crash->failed++;
  settle(node, true);
}

void volatile_crash(uint64_t seed, unsigned keep, unsigned drop, unsigned tear, char *answer, size_t room) {
  struct crash crash = {seed, keep, drop, tear, 0, 0, 0, 0};
  nodes_each_dirty(crash_node, &crash);
  // A journal loses its newest changes, never one from the middle.
  size_t changes = journal_used, stay = keep == 0 && tear == 0 ? 0 : drop == 0 && tear == 0 ? changes : mix(seed) % (changes + 1);
  for (size_t i = changes; i > stay; i--)
    if (!undo(&journal[i - 1])) crash.failed++;
  settle_names(changes);
  generation++;
  snprintf(answer, room, "%s kept=%lu dropped=%lu torn=%lu names=%zu namesUndone=%zu failed=%lu",
           crash.failed ? "error" : "ok", crash.kept, crash.dropped, crash.torn, changes, changes - stay, crash.failed);
}
