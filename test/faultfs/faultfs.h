// A pass-through file system on libfuse3 that misbehaves on request.
//
//   faultfs.c    arguments, mount, main loop
//   nodes.c      inodes of the backing directory
//   names.c      operations on names: lookup, create, rename, unlink, ...
//   files.c      operations on open files: read, write, truncate, fsync, ...
//   rules.c      which operation fails, how
//   volatile.c   what a power cut would take away
//   writelog.c   which bytes were written more than once
//   control.c    the line protocol on a Unix socket (docs/internals/testing.md)
#pragma once
#define FUSE_USE_VERSION 312
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define SECTOR_BYTES 512u
#define REQUEST_BYTES_MAX (1u << 20)

enum op { OPEN, OPENDIRECT, CREATE, READ, WRITE, FSYNC, FDATASYNC, FSYNCDIR, TRUNCATE, RENAME, UNLINK, MKDIR,
          RMDIR, LINK, FALLOCATE, OPS };
extern const char *const op_names[OPS];

struct preimage { uint64_t page; uint8_t *bytes; bool lost; }; // bytes NULL: zeros; lost: an fsync failed on it

struct name { struct name *older; char text[]; };

struct node {
  struct node *next;
  dev_t dev;
  ino_t ino;
  int fd;           // O_PATH
  uint64_t lookups; // references of the kernel
  uint32_t pins;    // references of our own records
  _Atomic(char *) name; // last name seen, for seeds and messages
  struct name *names; // all seen: a thread may still read an older one
  // Volatile state, under `volatile_lock`.
  bool dirty;
  int io_fd;
  off_t durable_size;
  struct preimage *pages; // open addressing by page number
  size_t pages_used, pages_room;
};

struct handle { int fd; bool direct; unsigned generation; struct node *node; };

struct verdict {
  int error;        // errno to answer, 0 for none
  bool after;       // do the work first, then answer the error
  bool lie;         // answer success, do nothing; a read answers zeros
  bool torn;        // write only some pages, answer as if all were
  int64_t keep;     // torn: pages kept from the front, or -1 for a subset drawn from `seed`
  uint64_t seed;
  int64_t bytes;    // short: at most so many bytes, -1 for no limit
};

extern bool plain;               // no fault bookkeeping at all
extern bool is_volatile;
extern unsigned generation;      // counts crashes; older handles answer EIO
extern pthread_mutex_t volatile_lock;
extern struct node root;
extern int undo_fd;

struct node *node_of(fuse_ino_t ino);
int node_lookup(struct node *parent, const char *name, struct fuse_entry_param *entry);
void node_forget(struct node *node, uint64_t lookups);
void node_pin(struct node *node);
void node_unpin(struct node *node);
int node_open(struct node *node, int flags);
void nodes_each_dirty(void (*visit)(struct node *, void *), void *context);

// Every request reaches us, none is answered from the page cache; writers of one file may go on at once.
static inline void file_flags(struct fuse_file_info *fi) {
  fi->direct_io = 1;
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 15)
  fi->parallel_direct_writes = 1;
#endif
}

extern const struct fuse_lowlevel_ops name_ops, file_ops;

struct verdict judge(enum op op, const char *name);
int rule_add(char *words, char *answer, size_t room);
void rules_clear(void);
void counts_reset(void);
void counts_print(char *answer, size_t room);
uint64_t mix(uint64_t value);

// All of these expect `volatile_lock` to be held.
int volatile_touch(struct node *node);
int volatile_save(struct node *node, off_t offset, off_t length);
void volatile_synced(struct node *node, bool failed);
enum change { MADE, MADE_DIR, REMOVED, REMOVED_DIR, MOVED, SWAPPED };
int volatile_keep_target(struct node *parent, const char *name, uint64_t *kept);
void volatile_record(enum change change, struct node *from, const char *from_name, struct node *to,
                     const char *to_name, uint64_t kept, mode_t mode);
void volatile_synced_dir(struct node *dir);
void volatile_forget(void);
void volatile_crash(uint64_t seed, unsigned keep, unsigned drop, unsigned tear, char *answer, size_t room);

void writelog_enable(bool on);
void writelog_add(struct node *node, off_t offset, size_t length);
void writelog_print(char *answer, size_t room);

int control_start(const char *path);
