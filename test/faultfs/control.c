// The control protocol: one line in, one line out, on a Unix stream socket; see docs/internals/testing.md.
#include "faultfs.h"
#include <sys/socket.h>
#include <sys/un.h>

static void obey(char *line, char *answer, size_t room) {
  char *rest = line + strcspn(line, " ");
  if (*rest) *rest++ = 0;
  snprintf(answer, room, "ok");
  if (strcmp(line, "rule") == 0) rule_add(rest, answer, room);
  else if (strcmp(line, "clear") == 0) rules_clear();
  else if (strcmp(line, "counts") == 0) counts_print(answer, room);
  else if (strcmp(line, "reset") == 0) counts_reset();
  else if (strcmp(line, "log") == 0) writelog_enable(strcmp(rest, "on") == 0);
  else if (strcmp(line, "overlaps") == 0) writelog_print(answer, room);
  else if (strcmp(line, "volatile") == 0 && undo_fd >= 0) {
    pthread_mutex_lock(&volatile_lock);
    is_volatile = strcmp(rest, "on") == 0;
    if (!is_volatile) volatile_forget();
    pthread_mutex_unlock(&volatile_lock);
  } else if (strcmp(line, "crash") == 0 && is_volatile) {
    uint64_t seed = 0;
    unsigned keep = 0, drop = 0, tear = 0;
    if (sscanf(rest, "seed=%lu keep=%u drop=%u tear=%u", &seed, &keep, &drop, &tear) != 4 || keep + drop + tear == 0) {
      snprintf(answer, room, "error crash needs seed= keep= drop= tear=");
      return;
    }
    pthread_mutex_lock(&volatile_lock);
    volatile_crash(seed, keep, drop, tear, answer, room);
    pthread_mutex_unlock(&volatile_lock);
  } else snprintf(answer, room, "error %.64s: unknown here", line);
}

static void *converse(void *argument) {
  FILE *peer = fdopen((int)(intptr_t)argument, "r+");
  char line[1024], answer[1024];
  while (peer && fgets(line, sizeof line, peer)) {
    line[strcspn(line, "\n")] = 0;
    obey(line, answer, sizeof answer);
    fseek(peer, 0, SEEK_CUR);
    fprintf(peer, "%s\n", answer);
    fflush(peer);
  }
  if (peer) fclose(peer);
  return NULL;
}

static void *accept_peers(void *argument) {
  for (;;) {
    pthread_t thread;
    int fd = accept4((int)(intptr_t)argument, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) return NULL;
    if (pthread_create(&thread, NULL, converse, (void *)(intptr_t)fd) == 0) pthread_detach(thread);
  }
}

int control_start(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  pthread_t thread;
  if (strlen(path) >= sizeof address.sun_path) return ENAMETOOLONG;
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 8) < 0) return errno;
  int error = pthread_create(&thread, NULL, accept_peers, (void *)(intptr_t)fd);
  if (!error) pthread_detach(thread);
  return error;
}
