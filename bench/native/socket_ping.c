/*
 * Round trip of two processes over a Unix stream socket, the floor of any request to a node.
 *
 *   socket_ping --count N [--request BYTES] [--reply BYTES] [--cores any|two]
 *
 * `two` keeps the sides on different cores, where busy processes live; otherwise the scheduler often puts both on one
 * and no wake-up crosses cores.
 */
#include "common.h"
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>

static void move_all(int fd, uint8_t *bytes, size_t length, int sends) {
  for (size_t done = 0; done < length;) {
    const ssize_t moved = sends ? write(fd, bytes + done, length - done) : read(fd, bytes + done, length - done);
    if (moved == 0) exit(0);
    if (moved < 0 && errno != EINTR) die(sends ? "write" : "read");
    if (moved > 0) done += (size_t)moved;
  }
}

/* Binds this process to the `index`-th core that it may use; leaves it alone where there are too few. */
static void stay_on_core(int index) {
  cpu_set_t allowed, chosen;
  CPU_ZERO(&allowed);
  CPU_ZERO(&chosen);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2) return;
  for (int core = 0; core < CPU_SETSIZE; core++)
    if (CPU_ISSET(core, &allowed) && index-- == 0) CPU_SET(core, &chosen);
  sched_setaffinity(0, sizeof chosen, &chosen);
}

int main(int count, char **arguments) {
  check_arguments(count, arguments, "count,request,reply,cores");
  const uint64_t rounds = number_argument(count, arguments, "count", 20000);
  const uint64_t request = number_argument(count, arguments, "request", 64);
  const uint64_t reply = number_argument(count, arguments, "reply", 64);
  const int two_cores = strcmp(text_argument(count, arguments, "cores", "any"), "two") == 0;
  errno = 0;
  if (rounds == 0 || request == 0 || reply == 0 || request > 1 << 20 || reply > 1 << 20) die("sizes must be 1 byte to 1 MiB");
  uint8_t *buffer = calloc(1, 1 << 20);
  uint32_t *latencies = malloc(rounds * sizeof *latencies);
  int pair[2];
  if (buffer == NULL || latencies == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) die("socketpair");
  const pid_t server = fork();
  if (server < 0) die("fork");
  if (server == 0) {
    if (two_cores) stay_on_core(1);
    close(pair[0]);
    for (;;) {
      move_all(pair[1], buffer, request, 0);
      move_all(pair[1], buffer, reply, 1);
    }
  }
  if (two_cores) stay_on_core(0);
  close(pair[1]);
  const uint64_t warm_up = rounds / 10;
  for (uint64_t i = 0; i < rounds + warm_up; i++) {
    const uint64_t begin = now_ns();
    move_all(pair[0], buffer, request, 1);
    move_all(pair[0], buffer, reply, 0);
    const uint64_t took = now_ns() - begin;
    if (i >= warm_up) latencies[i - warm_up] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
  }
  close(pair[0]);
  waitpid(server, NULL, 0);
  printf("{\"p50Us\":%.2f,\"p99Us\":%.2f,\"count\":%lu}\n", percentile_us(latencies, rounds, 0.5),
         percentile_us(latencies, rounds, 0.99), rounds);
  return 0;
}
