// usage: faultfs [--plain] [--die-with-parent] [--control SOCKET] [--undo DIR] BACKING MOUNT
// Stays in the foreground and prints "ready" once mounted. DIR keeps replaced files for a crash to bring back;
// it must be empty, outside BACKING and on the same file system.
#include "faultfs.h"
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>

bool plain;
static const char *mount_path;

static void init(void *context, struct fuse_conn_info *conn) {
  (void)context;
  conn->want &= ~(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
  conn->want |= conn->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS);
  conn->max_write = conn->max_read = REQUEST_BYTES_MAX;
  conn->max_background = 128;
  conn->congestion_threshold = 128;
  dprintf(STDOUT_FILENO, "ready\n");
}

// A delayed request may hold a thread for minutes, so leaving waits for nobody.
static void leave(int signal_number) {
  (void)signal_number;
  if (umount2(mount_path, MNT_DETACH) < 0 && fork() == 0) {
    execlp("fusermount3", "fusermount3", "-u", "-z", mount_path, NULL);
    _exit(127);
  }
  _exit(0);
}

static int fail(const char *what, int error) {
  fprintf(stderr, "faultfs: %s: %s\n", what, strerror(error));
  return 1;
}

int main(int argc, char **argv) {
  const char *control = NULL;
  int at = 1;
  umask(0);
  for (; at < argc && argv[at][0] == '-'; at++) {
    if (strcmp(argv[at], "--plain") == 0) plain = true;
    else if (strcmp(argv[at], "--die-with-parent") == 0) prctl(PR_SET_PDEATHSIG, SIGTERM);
    else if (strcmp(argv[at], "--control") == 0 && at + 1 < argc) control = argv[++at];
    else if (strcmp(argv[at], "--undo") == 0 && at + 1 < argc) undo_fd = open(argv[++at], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    else return fail(argv[at], EINVAL);
  }
  if (argc - at != 2) return fail("usage: faultfs [options] BACKING MOUNT", EINVAL);
  root.fd = open(argv[at], O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root.fd < 0) return fail(argv[at], errno);
  mount_path = argv[at + 1];

  struct fuse_lowlevel_ops ops = file_ops;
  const void *const *names = (const void *const *)&name_ops;
  for (size_t i = 0; i < sizeof ops / sizeof *names; i++)
    if (names[i]) ((const void **)&ops)[i] = names[i];
  ops.init = init;

  char max_read[32];
  snprintf(max_read, sizeof max_read, "max_read=%u", REQUEST_BYTES_MAX);
  char *fuse_argv[] = {argv[0], "-o", "fsname=faultfs", "-o", "subtype=faultfs", "-o", max_read, "-o", "default_permissions", NULL};
  struct fuse_args args = FUSE_ARGS_INIT(9, fuse_argv);
  struct fuse_session *session = fuse_session_new(&args, &ops, sizeof ops, NULL);
  if (!session || fuse_session_mount(session, mount_path) != 0) return fail(mount_path, errno);
  struct sigaction action = {.sa_handler = leave};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGHUP, &action, NULL);
  signal(SIGPIPE, SIG_IGN);
  int error = control ? control_start(control) : 0;
  if (error) {
    fail(control, error);
    leave(0);
  }
  struct fuse_loop_config *loop = fuse_loop_cfg_create();
  fuse_loop_cfg_set_clone_fd(loop, 1);
  fuse_loop_cfg_set_max_threads(loop, 64);
  fuse_loop_cfg_set_idle_threads(loop, 64);
  fuse_session_loop_mt(session, loop);
  fuse_session_unmount(session);
  _exit(0); // unmounted from outside; requests still delayed have nobody to answer to
}
