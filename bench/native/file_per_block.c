/*
 * What the file tiers of inference engines do: one file a block in a fan-out of directories (<3 hex>/<2 hex>/<hash>),
 * an existence check a key, a temporary file written with O_DIRECT and renamed, a read by open and O_DIRECT.
 * Sixteen threads, each block handled by one thread from begin to end. Their buffer is a shared mapping of 4 KiB pages;
 * `--pages huge` shows what the same design would reach with 2 MiB pages.
 *
 *   file_per_block --dir D --op store|load --block BYTES --blocks N [--threads T] [--pages small|huge]
 */
#include "common.h"
#include <pthread.h>

static const char *directory;
static uint64_t block_bytes, blocks, thread_count;
static int stores;
static struct memory memory;
static uint32_t *latencies;
static uint64_t next_block;

/* Spreads block numbers as a digest would: the directories fill evenly and neighbours do not share one. */
static uint64_t hash_of(uint64_t number) {
  uint64_t state = number * 2 + 1;
  for (int i = 0; i < 4; i++) next_random(&state);
  return state;
}

static void make_directory(const char *path) {
  if (mkdir(path, 0755) != 0 && errno != EEXIST) die("mkdir %s", path);
}

static void store(uint64_t number, const uint8_t *bytes) {
  const uint64_t hash = hash_of(number);
  char path[4096], temporary[4128];
  snprintf(path, sizeof path, "%s/%03lx/%02lx/%016lx.bin", directory, hash >> 52, hash >> 44 & 0xff, hash);
  if (access(path, F_OK) == 0) return;
  snprintf(temporary, sizeof temporary, "%s/%03lx", directory, hash >> 52);
  make_directory(temporary);
  snprintf(temporary, sizeof temporary, "%s/%03lx/%02lx", directory, hash >> 52, hash >> 44 & 0xff);
  make_directory(temporary);
  snprintf(temporary, sizeof temporary, "%s.tmp", path);
  const int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0644);
  if (fd < 0) die("open %s", temporary);
  if (write(fd, bytes, block_bytes) != (ssize_t)block_bytes) die("write %s", temporary);
  close(fd);
  if (rename(temporary, path) != 0) die("rename %s", path);
}

static void load(uint64_t number, uint8_t *bytes) {
  const uint64_t hash = hash_of(number);
  char path[4096];
  snprintf(path, sizeof path, "%s/%03lx/%02lx/%016lx.bin", directory, hash >> 52, hash >> 44 & 0xff, hash);
  if (access(path, F_OK) != 0) die("missing %s", path);
  const int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (fd < 0) die("open %s", path);
  if (read(fd, bytes, block_bytes) != (ssize_t)block_bytes) die("read %s", path);
  close(fd);
}

static void *work(void *argument) {
  uint8_t *buffer = memory.bytes + (uintptr_t)argument * block_bytes;
  for (;;) {
    const uint64_t number = __atomic_fetch_add(&next_block, 1, __ATOMIC_RELAXED);
    if (number >= blocks) return NULL;
    const uint64_t begin = now_ns();
    if (stores) store(number, buffer);
    else load(number, buffer);
    const uint64_t took = now_ns() - begin;
    latencies[number] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
  }
}

int main(int count, char **arguments) {
  check_arguments(count, arguments, "dir,op,block,blocks,threads,pages");
  directory = text_argument(count, arguments, "dir", NULL);
  stores = strcmp(text_argument(count, arguments, "op", "load"), "store") == 0;
  block_bytes = number_argument(count, arguments, "block", 1 << 20);
  blocks = number_argument(count, arguments, "blocks", 256);
  thread_count = number_argument(count, arguments, "threads", 16);
  const int huge = strcmp(text_argument(count, arguments, "pages", "small"), "huge") == 0;
  errno = 0;
  if (directory == NULL || block_bytes % 4096 != 0 || blocks == 0 || thread_count == 0 || thread_count > 256)
    die("--dir is missing, --block is no multiple of 4096, or --threads is not 1..256");
  make_directory(directory);
  memory = map_memory(block_bytes * thread_count, huge, 1);
  fill_random(memory.bytes, memory.length, 11);
  latencies = calloc(blocks, sizeof *latencies);
  if (latencies == NULL) die("malloc");
  pthread_t threads[256];
  const double cpu_begin = cpu_seconds();
  const uint64_t begin = now_ns();
  for (uint64_t i = 0; i < thread_count; i++)
    if (pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i) != 0) die("pthread_create");
  for (uint64_t i = 0; i < thread_count; i++) pthread_join(threads[i], NULL);
  const double seconds = (double)(now_ns() - begin) / 1e9, cpu = cpu_seconds() - cpu_begin;
  const double gigabytes = (double)(blocks * block_bytes) / 1e9;
  printf("{\"gigabytesPerSecond\":%.4f,\"cpuSecondsPerGigabyte\":%.5f,\"p50Us\":%.1f,\"p99Us\":%.1f,\"pages\":\"%s\"}\n",
         gigabytes / seconds, cpu / gigabytes, percentile_us(latencies, blocks, 0.5), percentile_us(latencies, blocks, 0.99), memory.pages);
  return 0;
}
