/*
 * Bytes of one process's memory into another's over loopback TCP, by plain blocking sends and receives: what the
 * sockets of this machine give.
 *
 *   tcp_copy --block BYTES [--source BYTES] [--bytes BYTES] [--congestion NAME]
 *
 * Source and target are in 2 MiB pages, above the processor's caches. Nothing is verified.
 */
#include "common.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>

static void prepare(int fd, const char *congestion) {
  const int one = 1;
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) die("TCP_NODELAY");
  if (congestion[0] != 0 && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, (socklen_t)strlen(congestion)) != 0)
    die("congestion control %s", congestion);
}

static void send_all(int fd, const struct memory *source, uint64_t block, uint64_t bytes) {
  uint64_t from = 0;
  for (uint64_t left = bytes; left > 0;) {
    const uint64_t end = from + (block < left ? block : left);
    for (uint64_t at = from; at < end;) {
      const ssize_t sent = send(fd, source->bytes + at, end - at, MSG_NOSIGNAL);
      if (sent < 0 && errno != EINTR) die("send");
      if (sent > 0) at += (uint64_t)sent;
    }
    left -= end - from;
    from = end + block <= source->length ? end : 0;
  }
}

int main(int count, char **arguments) {
  check_arguments(count, arguments, "block,source,bytes,congestion");
  const uint64_t block = number_argument(count, arguments, "block", 4 << 20);
  const uint64_t memory_bytes = number_argument(count, arguments, "source", 256 << 20);
  const uint64_t bytes = number_argument(count, arguments, "bytes", 1 << 30);
  const char *congestion = text_argument(count, arguments, "congestion", "");
  errno = 0;
  if (block == 0 || block > memory_bytes || bytes % block != 0) die("bytes is a multiple of block, which fits the source");

  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  if (listener < 0) die("socket");
  prepare(listener, congestion);
  if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1) != 0) die("listen");
  if (getsockname(listener, (struct sockaddr *)&address, &length) != 0) die("getsockname");

  const pid_t sender = fork();
  if (sender < 0) die("fork");
  if (sender == 0) {
    const struct memory source = map_memory(memory_bytes, 1, 1);
    fill_random(source.bytes, source.length, 1);
    const int fd = accept(listener, NULL, NULL);
    char go;
    if (fd < 0 || recv(fd, &go, 1, 0) != 1) die("accept");
    const double began = cpu_seconds();
    send_all(fd, &source, block, bytes);
    const double used = cpu_seconds() - began;
    if (send(fd, &used, sizeof used, MSG_NOSIGNAL) != sizeof used) die("send");
    _exit(0);
  }

  const struct memory target = map_memory(memory_bytes, 1, 1);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  prepare(fd, congestion);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("connect");
  char name[16] = {0};
  length = sizeof name - 1;
  getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length);
  /* The sender takes the request when its memory is filled, and by then this side's is touched as well. */
  usleep(1000);
  const double cpu_before = cpu_seconds();
  if (send(fd, "G", 1, MSG_NOSIGNAL) != 1) die("send");
  char first;
  while (recv(fd, &first, 1, MSG_PEEK) < 0)
    if (errno != EINTR) die("recv");
  const uint64_t began = now_ns();
  for (uint64_t left = bytes, to = 0; left > 0;) {
    for (uint64_t got = 0; got < block;) {
      const ssize_t step = recv(fd, target.bytes + to + got, block - got, 0);
      if (step == 0 || (step < 0 && errno != EINTR)) die("recv");
      if (step > 0) got += (uint64_t)step;
    }
    left -= block;
    to = to + 2 * block <= target.length ? to + block : 0;
  }
  const double seconds = (double)(now_ns() - began) / 1e9;
  const double receiver_cpu = cpu_seconds() - cpu_before;
  double sender_cpu = 0;
  if (recv(fd, &sender_cpu, sizeof sender_cpu, MSG_WAITALL) != sizeof sender_cpu) die("recv");
  waitpid(sender, NULL, 0);
  const double gigabytes = (double)bytes / 1e9;
  printf("{\"gigabytesPerSecond\":%.4f,\"cpuSecondsPerGigabyte\":%.5f,\"senderCpuSecondsPerGigabyte\":%.5f,"
         "\"receiverCpuSecondsPerGigabyte\":%.5f,\"congestion\":\"%s\",\"pages\":\"%s\"}\n",
         gigabytes / seconds, (sender_cpu + receiver_cpu) / gigabytes, sender_cpu / gigabytes, receiver_cpu / gigabytes,
         name, target.pages);
  return 0;
}
