// Which bytes were written more than once: a segment's offsets are written at most once, ever.
#include "faultfs.h"

struct span { struct node *node; uint64_t from, to; };
static struct span *spans;
static size_t used, room_spans;
static bool enabled;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void writelog_enable(bool on) {
  pthread_mutex_lock(&lock);
  struct span *old = spans;
  size_t count = used;
  spans = NULL;
  used = room_spans = 0;
  enabled = on;
  pthread_mutex_unlock(&lock);
  for (size_t i = 0; i < count; i++) node_unpin(old[i].node);
  free(old);
}

// Logged nodes stay pinned, so that a reused inode number is not taken for an old file.
void writelog_add(struct node *node, off_t offset, size_t length) {
  pthread_mutex_lock(&lock);
  if (enabled && length) {
    if (used == room_spans) {
      room_spans = room_spans ? 2 * room_spans : 1024;
      spans = realloc(spans, room_spans * sizeof *spans);
      if (!spans) abort();
    }
    node_pin(node);
    spans[used++] = (struct span){node, offset, offset + length};
  }
  pthread_mutex_unlock(&lock);
}

static int by_place(const void *a, const void *b) {
  const struct span *x = a, *y = b;
  if (x->node != y->node) return x->node < y->node ? -1 : 1;
  return (x->from > y->from) - (x->from < y->from);
}

void writelog_print(char *answer, size_t room) {
  uint64_t bytes = 0, end = 0, first_at = 0;
  const char *first = NULL;
  pthread_mutex_lock(&lock);
  if (used) qsort(spans, used, sizeof *spans, by_place);
  for (size_t i = 0; i < used; i++) {
    if (i == 0 || spans[i].node != spans[i - 1].node) end = 0;
    if (spans[i].from < end) {
      uint64_t until = spans[i].to < end ? spans[i].to : end;
      bytes += until - spans[i].from;
      if (!first) first = spans[i].node->name, first_at = spans[i].from;
    }
    if (spans[i].to > end) end = spans[i].to;
  }
  snprintf(answer, room, "ok writes=%zu bytes=%lu offset=%lu file=%s", used, bytes, first_at, first ? first : "");
  pthread_mutex_unlock(&lock);
}
