/*
 * What the rival programs share: monotonic time, CPU time, arguments, percentiles, patterns that do not compress,
 * and memory in 2 MiB pages where the machine gives them. Every program prints one line of JSON.
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HUGE_PAGE_BYTES (2ull << 20)
#define PANE_BYTES (1ull << 30)
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...) {
  const int error = errno;
  va_list rest;
  va_start(rest, format);
  vfprintf(stderr, format, rest);
  va_end(rest);
  if (error != 0) fprintf(stderr, ": %s", strerror(error));
  fputc('\n', stderr);
  exit(1);
}

static inline uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

/* User and system time of all threads of this process, the kernel's io_uring workers included. */
static inline double cpu_seconds(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
         (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

/* Value of `--name value`, or the fallback. Arguments that no one asks for are refused by `check_arguments`. */
static inline const char *text_argument(int count, char **arguments, const char *name, const char *fallback) {
  for (int i = 1; i + 1 < count; i += 2)
    if (strncmp(arguments[i], "--", 2) == 0 && strcmp(arguments[i] + 2, name) == 0) return arguments[i + 1];
  return fallback;
}

static inline uint64_t number_argument(int count, char **arguments, const char *name, uint64_t fallback) {
  const char *text = text_argument(count, arguments, name, NULL);
  if (text == NULL) return fallback;
  char *end;
  errno = 0;
  const uint64_t value = strtoull(text, &end, 10);
  if (errno != 0 || end == text || *end != 0) die("--%s must be a whole number, got %s", name, text);
  return value;
}

/* `names` is a list such as "file,op,bs": a misspelt argument must not measure something else in silence. */
static inline void check_arguments(int count, char **arguments, const char *names) {
  for (int i = 1; i < count; i += 2) {
    char wanted[64], list[512];
    snprintf(list, sizeof list, ",%s,", names);
    snprintf(wanted, sizeof wanted, ",%.60s,", strncmp(arguments[i], "--", 2) == 0 ? arguments[i] + 2 : "?");
    errno = 0;
    if (strstr(list, wanted) == NULL || i + 1 >= count) die("unknown or incomplete argument %s; known: %s", arguments[i], names);
  }
}

/* xorshift64*: fast enough to fill gigabytes, and no file system or device compresses it. */
static inline uint64_t next_random(uint64_t *state) {
  uint64_t x = *state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  *state = x;
  return x * 0x2545f4914f6cdd1dull;
}

static inline void fill_random(void *target, size_t bytes, uint64_t seed) {
  uint64_t state = seed * 2 + 1, *words = target;
  for (size_t i = 0; i < bytes / 8; i++) words[i] = next_random(&state);
}

static inline int compare_u32(const void *a, const void *b) {
  const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

/* Percentile of latencies in nanoseconds (sorted in place), as microseconds. */
static inline double percentile_us(uint32_t *latencies, size_t count, double rank) {
  if (count == 0) return 0;
  qsort(latencies, count, sizeof *latencies, compare_u32);
  size_t index = (size_t)(rank * (double)count);
  if (index >= count) index = count - 1;
  return latencies[index] / 1e3;
}

struct memory {
  uint8_t *bytes;
  size_t length;
  int fd;            /* -1 for anonymous memory. */
  const char *pages; /* "hugetlb", "thp", "collapse" or "4K". */
};

/* Kilobytes that smaps shows as mapped by 2 MiB pages in the mapping that starts at `start`. */
static inline uint64_t huge_kilobytes(const void *start) {
  FILE *smaps = fopen("/proc/self/smaps", "r");
  if (smaps == NULL) return 0;
  char line[512];
  uint64_t total = 0, value;
  int inside = 0;
  while (fgets(line, sizeof line, smaps) != NULL) {
    unsigned long long from, to;
    if (sscanf(line, "%llx-%llx ", &from, &to) == 2 && strchr(line, '-') != NULL && line[0] != ' ')
      inside = (uintptr_t)start >= from && (uintptr_t)start < to;
    if (!inside) continue;
    if (sscanf(line, "AnonHugePages: %lu", &value) == 1 || sscanf(line, "ShmemPmdMapped: %lu", &value) == 1) total += value;
  }
  fclose(smaps);
  return total;
}

/*
 * Memory of a shared file (`shared`) or anonymous, touched, at a 2 MiB boundary. With `huge` by the ladder hugetlb,
 * transparent, MADV_COLLAPSE; what came of it is in `pages`, verified and never assumed.
 */
static inline struct memory map_memory(size_t bytes, int huge, int shared) {
  struct memory memory = {.fd = -1, .pages = "4K"};
  memory.length = (bytes + HUGE_PAGE_BYTES - 1) & ~(HUGE_PAGE_BYTES - 1);
  if (huge) {
    const int fd = shared ? memfd_create("bench", MFD_CLOEXEC | MFD_HUGETLB) : -1;
    const int flags = (shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB) | MAP_POPULATE;
    if ((!shared || fd >= 0) && (!shared || ftruncate(fd, (off_t)memory.length) == 0)) {
      void *at = mmap(NULL, memory.length, PROT_READ | PROT_WRITE, flags, fd, 0);
      if (at != MAP_FAILED) {
        memory.bytes = at;
        memory.fd = fd;
        memory.pages = "hugetlb";
        return memory;
      }
    }
    if (fd >= 0) close(fd);
  }
  void *hole = mmap(NULL, memory.length + HUGE_PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (hole == MAP_FAILED) die("mmap of %zu bytes", memory.length);
  uint8_t *aligned = (uint8_t *)(((uintptr_t)hole + HUGE_PAGE_BYTES - 1) & ~(HUGE_PAGE_BYTES - 1));
  int flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS;
  if (shared) {
    memory.fd = memfd_create("bench", MFD_CLOEXEC);
    if (memory.fd < 0 || ftruncate(memory.fd, (off_t)memory.length) != 0) die("memfd of %zu bytes", memory.length);
    flags = MAP_FIXED | MAP_SHARED;
  }
  if (mmap(aligned, memory.length, PROT_READ | PROT_WRITE, flags, memory.fd, 0) == MAP_FAILED) die("mmap");
  memory.bytes = aligned;
  madvise(aligned, memory.length, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  for (size_t i = 0; i < memory.length; i += 4096) aligned[i] = 1;
  if (!huge) return memory;
  if (huge_kilobytes(aligned) * 1024 >= memory.length) {
    memory.pages = "thp";
  } else {
    for (size_t i = 0; i < memory.length; i += HUGE_PAGE_BYTES)
      madvise(aligned + i, HUGE_PAGE_BYTES, MADV_COLLAPSE);
    if (huge_kilobytes(aligned) * 1024 >= memory.length) memory.pages = "collapse";
  }
  return memory;
}
#endif
