/*
 * One thread's memcpy from DRAM to DRAM in 2 MiB pages: blocks of a source far larger than the caches, visited in a
 * random order, copied one after another into a target of its own.
 *
 *   memcpy_bw --block BYTES --source BYTES --target BYTES --bytes TOTAL
 */
#include "common.h"

int main(int count, char **arguments) {
  check_arguments(count, arguments, "block,source,target,bytes");
  const uint64_t block = number_argument(count, arguments, "block", 4 << 20);
  const uint64_t source = number_argument(count, arguments, "source", 512 << 20);
  const uint64_t target = number_argument(count, arguments, "target", 512 << 20);
  const uint64_t bytes = number_argument(count, arguments, "bytes", 4ull << 30);
  errno = 0;
  if (block == 0 || source < block || target < block || bytes < block) die("--source, --target and --bytes must hold a --block");
  struct memory from = map_memory(source, 1, 1), to = map_memory(target, 1, 1);
  fill_random(from.bytes, from.length, 3);
  memset(to.bytes, 1, to.length);
  const uint64_t copies = bytes / block, places = source / block, rooms = target / block;
  uint64_t state = 5;
  uint32_t *latencies = malloc(copies * sizeof *latencies);
  if (latencies == NULL) die("malloc");
  const double cpu_begin = cpu_seconds();
  const uint64_t begin = now_ns();
  for (uint64_t i = 0; i < copies; i++) {
    const uint64_t started = now_ns();
    memcpy(to.bytes + i % rooms * block, from.bytes + next_random(&state) % places * block, block);
    latencies[i] = (uint32_t)(now_ns() - started);
  }
  const double seconds = (double)(now_ns() - begin) / 1e9, gigabytes = (double)(copies * block) / 1e9;
  printf("{\"gigabytesPerSecond\":%.3f,\"cpuSecondsPerGigabyte\":%.5f,\"p50Us\":%.2f,\"p99Us\":%.2f,\"pages\":\"%s\"}\n",
         gigabytes / seconds, (cpu_seconds() - cpu_begin) / gigabytes, percentile_us(latencies, copies, 0.5),
         percentile_us(latencies, copies, 0.99), from.pages);
  return 0;
}
