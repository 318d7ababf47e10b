/*
 * The limit that a node is measured against: plain io_uring, O_DIRECT, registered buffers and file, at a fixed depth.
 *
 *   uring_io --file F --op read  --bs B --qd N --bytes TOTAL [--order seq|random] [--pages huge|small]
 *   uring_io --file F --op write --bs B --qd N --bytes TOTAL [--segment S] [--sync-every BYTES]
 *
 * A read visits every block of the file's first TOTAL bytes once, in order or in a random permutation.
 * A write goes through files F.0, F.1, ... of S bytes, sized by ftruncate first as a node does with its segments; the
 * blocks are random bytes and the last fdatasync belongs to the time. S = 0 writes one file F of TOTAL bytes and keeps
 * an existing one's blocks (overwriting a recycled file).
 */
#include "uring.h"

static int open_target(const char *name, uint64_t number, uint64_t segment, uint64_t total, int writes) {
  char path[4096];
  if (segment == 0) snprintf(path, sizeof path, "%s", name);
  else snprintf(path, sizeof path, "%s.%lu", name, number);
  const int fd = open(path, O_DIRECT | O_CLOEXEC | (writes ? O_RDWR | O_CREAT : O_RDONLY), 0644);
  if (fd < 0) die("open %s", path);
  struct stat state;
  const uint64_t size = segment == 0 ? total : segment;
  if (writes && (fstat(fd, &state) != 0 || ((uint64_t)state.st_size < size && ftruncate(fd, (off_t)size) != 0)))
    die("size of %s", path);
  return fd;
}

int main(int count, char **arguments) {
  check_arguments(count, arguments, "file,op,bs,qd,bytes,order,pages,segment,sync-every,seed");
  const char *file = text_argument(count, arguments, "file", NULL);
  const char *op = text_argument(count, arguments, "op", "read");
  const int writes = strcmp(op, "write") == 0;
  const int random_order = strcmp(text_argument(count, arguments, "order", "seq"), "random") == 0;
  const int huge = strcmp(text_argument(count, arguments, "pages", "huge"), "huge") == 0;
  const uint64_t bs = number_argument(count, arguments, "bs", 1 << 20);
  const uint64_t qd = number_argument(count, arguments, "qd", 4);
  const uint64_t bytes = number_argument(count, arguments, "bytes", 1ull << 30);
  const uint64_t segment = writes ? number_argument(count, arguments, "segment", 0) : 0;
  const uint64_t sync_every = number_argument(count, arguments, "sync-every", 0);
  uint64_t random_state = number_argument(count, arguments, "seed", 1) * 2 + 1;
  errno = 0;
  if (file == NULL) die("--file is missing");
  if (bs == 0 || bs % 4096 != 0 || qd == 0 || qd > 1024 || bytes < bs) die("--bs must be pages, --qd 1..1024, --bytes >= --bs");
  if (segment % bs != 0) die("--segment must be a multiple of --bs");

  struct memory memory = map_memory(bs * qd, huge, 0);
  if (memory.length > PANE_BYTES) die("--bs x --qd is beyond 1 GiB");
  fill_random(memory.bytes, memory.length, 7);
  struct uring ring;
  uring_open(&ring, 1024);
  uring_register_memory(&ring, &memory);
  int fd = open_target(file, 0, segment, bytes, writes);
  uring_register_file(&ring, fd);

  const uint64_t blocks = bytes / bs;
  uint32_t *latencies = malloc(blocks * sizeof *latencies), *order = malloc(blocks * sizeof *order);
  uint64_t *started = malloc(qd * sizeof *started);
  if (latencies == NULL || order == NULL || started == NULL) die("malloc");
  for (uint64_t i = 0; i < blocks; i++) order[i] = (uint32_t)i;
  for (uint64_t i = blocks - 1; random_order && i > 0; i--) {
    const uint64_t j = next_random(&random_state) % (i + 1);
    const uint32_t swap = order[i];
    order[i] = order[j];
    order[j] = swap;
  }

  const uint64_t begin = now_ns();
  const double cpu_begin = cpu_seconds();
  uint64_t sent = 0, done = 0, file_number = 0, unsynced = 0;
  uint32_t *free_slots = malloc(qd * sizeof *free_slots);
  uint64_t free_count = qd;
  for (uint64_t i = 0; i < qd; i++) free_slots[i] = (uint32_t)(qd - 1 - i);
  while (done < blocks) {
    /* A new segment or a sync waits until everything in flight is back, as one writer's group commit does. */
    const int turn = segment != 0 && sent < blocks && sent * bs / segment != file_number;
    const int must_sync = sync_every != 0 && unsynced >= sync_every;
    if ((turn || must_sync) && sent == done) {
      if (fdatasync(fd) != 0) die("fdatasync");
      unsynced = 0;
      if (turn) {
        file_number = sent * bs / segment;
        close(fd);
        fd = open_target(file, file_number, segment, bytes, writes);
        uring_replace_file(&ring, fd);
      }
      continue;
    }
    while (!turn && !must_sync && free_count > 0 && sent < blocks &&
           (segment == 0 || sent * bs / segment == file_number)) {
      const uint32_t slot = free_slots[--free_count];
      uint8_t *buffer = memory.bytes + (uint64_t)slot * bs;
      struct io_uring_sqe *sqe = uring_entry(&ring);
      sqe->opcode = writes ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
      sqe->flags = IOSQE_FIXED_FILE;
      sqe->addr = (uint64_t)(uintptr_t)buffer;
      sqe->len = (uint32_t)bs;
      sqe->off = segment == 0 ? (uint64_t)order[sent] * bs : sent * bs % segment;
      sqe->user_data = slot;
      if (writes) *(uint64_t *)buffer = sent; /* No two blocks alike. */
      started[slot] = now_ns();
      sent++;
      unsynced += bs;
      if (sync_every != 0 && unsynced >= sync_every) break;
    }
    uring_enter(&ring, 1);
    uint64_t slot;
    int result;
    while (uring_reap(&ring, &slot, &result)) {
      errno = result < 0 ? -result : 0;
      if (result != (int)bs) die("%s of %lu bytes gave %d", op, bs, result);
      const uint64_t took = now_ns() - started[slot];
      latencies[done++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
      free_slots[free_count++] = (uint32_t)slot;
    }
  }
  if (writes && fdatasync(fd) != 0) die("fdatasync");
  const double seconds = (double)(now_ns() - begin) / 1e9, cpu = cpu_seconds() - cpu_begin;
  const double gigabytes = (double)(blocks * bs) / 1e9;
  printf("{\"gigabytesPerSecond\":%.4f,\"cpuSecondsPerGigabyte\":%.5f,\"p50Us\":%.1f,\"p99Us\":%.1f,\"seconds\":%.4f,\"bytes\":%lu,\"pages\":\"%s\"}\n",
         gigabytes / seconds, cpu / gigabytes, percentile_us(latencies, blocks, 0.5), percentile_us(latencies, blocks, 0.99),
         seconds, blocks * bs, memory.pages);
  return 0;
}
