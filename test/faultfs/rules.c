// Rules say which operations misbehave. Each counts the operations it matches from the moment it was added, and
// fires on the n-th up to the (n + count - 1)-th; several may fire on one operation.
#include "faultfs.h"
#include <time.h>

#define RULES_MAX 64
const char *const op_names[OPS] = {"open", "opendirect", "create", "read", "write", "fsync", "fdatasync", "fsyncdir",
                                   "truncate", "rename", "unlink", "mkdir", "rmdir", "link", "fallocate"};
static const struct { const char *name; int value; } errnos[] = {
    {"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"ESTALE", ESTALE}, {"EINVAL", EINVAL}, {"EACCES", EACCES},
    {"EROFS", EROFS}, {"ENOENT", ENOENT}, {"EINTR", EINTR}, {"EAGAIN", EAGAIN}, {"ETIMEDOUT", ETIMEDOUT}, {"EMFILE", EMFILE},
    {"EOPNOTSUPP", EOPNOTSUPP}, {"EPERM", EPERM}, {"ENOSYS", ENOSYS}};

struct rule {
  uint32_t ops; // one bit an operation
  uint64_t n, count, seen;
  uint64_t delay_ms;
  char path[128];
  struct verdict verdict;
};
static struct rule rules[RULES_MAX];
static unsigned rules_used, clears;
static uint64_t counts[OPS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cleared = PTHREAD_COND_INITIALIZER;

uint64_t mix(uint64_t value) { // SplitMix64's finaliser
  value += 0x9e3779b97f4a7c15u;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

// Clearing the rules also ends the delays that they started, so that a test never has to wait them out.
static void wait_ms(uint64_t ms) {
  struct timespec end;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += ms / 1000;
  end.tv_nsec += (ms % 1000) * 1000000;
  if (end.tv_nsec >= 1000000000) end.tv_sec++, end.tv_nsec -= 1000000000;
  unsigned start = clears;
  while (clears == start && pthread_cond_timedwait(&cleared, &lock, &end) == 0) {}
}

struct verdict judge(enum op op, const char *name) {
  struct verdict sum = {.bytes = -1, .keep = -1};
  if (plain) return sum;
  uint64_t delay_ms = 0;
  pthread_mutex_lock(&lock);
  counts[op]++;
  for (unsigned i = 0; i < rules_used; i++) {
    struct rule *rule = &rules[i];
    if (!(rule->ops & 1u << op) || (rule->path[0] && !(name && strstr(name, rule->path)))) continue;
    uint64_t seen = ++rule->seen;
    if (seen < rule->n || (rule->count && seen >= rule->n + rule->count)) continue;
    const struct verdict *one = &rule->verdict;
    if (one->error && !sum.error) sum.error = one->error, sum.after = one->after;
    if (one->lie) sum.lie = true;
    if (one->torn) sum.torn = true, sum.keep = one->keep, sum.seed = one->seed + seen;
    if (one->bytes >= 0) sum.bytes = one->bytes;
    if (rule->delay_ms > delay_ms) delay_ms = rule->delay_ms;
  }
  if (delay_ms) wait_ms(delay_ms);
  pthread_mutex_unlock(&lock);
  return sum;
}

static uint32_t ops_of(char *list) {
  uint32_t ops = 0;
  char *rest = NULL;
  for (char *word = strtok_r(list, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
    uint32_t found = strcmp(word, "any") == 0 ? (1u << OPS) - 1 : 0;
    for (int op = 0; op < OPS; op++)
      if (strcmp(word, op_names[op]) == 0) found = 1u << op;
    if (!found) return 0;
    ops |= found;
  }
  return ops;
}

int rule_add(char *words, char *answer, size_t room) {
  struct rule rule = {.n = 1, .count = 1, .verdict = {.bytes = -1, .keep = -1}};
  char *rest = NULL;
  bool does = false;
  for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
    char *value = strchr(word, '=');
    if (!value) return snprintf(answer, room, "error %s lacks a value", word), -1;
    *value++ = 0;
    if (strcmp(word, "op") == 0) rule.ops = ops_of(value);
    else if (strcmp(word, "n") == 0) rule.n = strtoull(value, NULL, 10);
    else if (strcmp(word, "count") == 0) rule.count = strtoull(value, NULL, 10);
    else if (strcmp(word, "path") == 0) snprintf(rule.path, sizeof rule.path, "%s", value);
    else if (strcmp(word, "after") == 0) rule.verdict.after = *value == '1';
    else if (strcmp(word, "seed") == 0) rule.verdict.seed = strtoull(value, NULL, 10);
    else {
      does = true;
      if (strcmp(word, "errno") == 0) {
        for (size_t i = 0; i < sizeof errnos / sizeof *errnos; i++)
          if (strcmp(value, errnos[i].name) == 0) rule.verdict.error = errnos[i].value;
        if (!rule.verdict.error) return snprintf(answer, room, "error unknown errno %s", value), -1;
      } else if (strcmp(word, "short") == 0) rule.verdict.bytes = strtoll(value, NULL, 10);
      else if (strcmp(word, "torn") == 0) {
        rule.verdict.torn = true;
        rule.verdict.keep = strcmp(value, "subset") == 0 ? -1 : strtoll(value, NULL, 10);
      } else if (strcmp(word, "lie") == 0) rule.verdict.lie = *value == '1';
      else if (strcmp(word, "delay") == 0) rule.delay_ms = strtoull(value, NULL, 10);
      else return snprintf(answer, room, "error unknown word %s", word), -1;
    }
  }
  if (!rule.ops || !rule.n || !does) return snprintf(answer, room, "error a rule needs op=, n from 1, and a fault"), -1;
  pthread_mutex_lock(&lock);
  bool fits = rules_used < RULES_MAX;
  if (fits) rules[rules_used++] = rule;
  pthread_mutex_unlock(&lock);
  return snprintf(answer, room, fits ? "ok" : "error too many rules"), fits ? 0 : -1;
}

void rules_clear(void) {
  pthread_mutex_lock(&lock);
  rules_used = 0;
  clears++;
  pthread_cond_broadcast(&cleared);
  pthread_mutex_unlock(&lock);
}

void counts_reset(void) {
  pthread_mutex_lock(&lock);
  memset(counts, 0, sizeof counts);
  pthread_mutex_unlock(&lock);
}

void counts_print(char *answer, size_t room) {
  pthread_mutex_lock(&lock);
  int at = snprintf(answer, room, "ok");
  for (int op = 0; op < OPS; op++) at += snprintf(answer + at, room - at, " %s=%lu", op_names[op], counts[op]);
  pthread_mutex_unlock(&lock);
}
