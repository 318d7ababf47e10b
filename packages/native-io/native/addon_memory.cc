// Arenas, regions and shared memory, and the socket that passes their descriptors.
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "instance.h"
#include "jobs.h"

namespace refill {
namespace {

napi_value describe(napi_env env, uint32_t id, const Arena& arena) {
  return js::numbers(env, {double(id), double(arena.pageBytes), double(arena.pagesBy), double(arena.buffer->bytes),
                           double(arena.buffer->fd)});
}

napi_value createArena(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  return startJob(env, [instance = instances::find(in.id(0)), bytes = in.number(1), upTo = in.id(2)](Job& job) {
    Arena arena;
    job.error = instance ? -refill::createArena(roundUp(uint64_t(bytes), kHugePageBytes), arena, PagesBy(upTo)) : EBADF;
    job.deliver = [instance, arena](napi_env e) {
      instance->arena = arena;
      instance->arenaId = buffers::add(arena.buffer);
      return describe(e, instance->arenaId, arena);
    };
  });
}

/** One arena for several instances: each has its own root and workers. The owner must outlive the others. */
napi_value shareArena(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  const InstanceRef instance = instances::find(in.id(0));
  const InstanceRef owner = instances::find(in.id(1));
  const bool shared = instance && owner && owner->arena.buffer;
  if (shared) instance->arena = owner->arena;
  return js::boolean(env, shared);
}

/** Shared memory of this process alone, made at once: minus errno, or its description. */
napi_value createShared(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  Arena arena;
  const int error = refill::createArena(roundUp(uint64_t(in.number(0)), kHugePageBytes), arena);
  if (error != 0) return js::numbers(env, {double(error)});
  return describe(env, buffers::add(arena.buffer), arena);
}

/** Maps a shared-memory file; takes a duplicate of the descriptor. */
int mapFile(int fd, uint64_t bytes, int protection, BufferRef& out) {
  struct stat info;
  if (fstat(fd, &info) != 0) return errno;
  if (!S_ISREG(info.st_mode)) return EINVAL;
  if (bytes == 0) bytes = uint64_t(info.st_size);
  if (bytes == 0 || uint64_t(info.st_size) < bytes) return ERANGE;
  // A hugetlb file is mapped and unmapped in whole pages.
  if (uint64_t(info.st_blksize) >= kHugePageBytes && bytes % uint64_t(info.st_blksize) != 0) return EINVAL;
  auto buffer = std::make_shared<Buffer>();
  buffer->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (buffer->fd < 0) return errno;
  buffer->base = buffers::mapAligned(buffer->fd, bytes, protection);
  if (buffer->base == nullptr) return errno;
  buffer->bytes = bytes;
  out = std::move(buffer);
  return 0;
}

napi_value attachRegion(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  // The caller may close its descriptor as soon as this returns.
  const int given = int(in.number(1));
  const int fd = given >= 0 ? fcntl(given, F_DUPFD_CLOEXEC, 0) : -1;
  return startJob(env, [path = in.text(0), given, fd, bytes = in.number(2)](Job& job) {
    int file = fd;
    if (given < 0) file = open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
      job.error = given < 0 ? errno : EBADF;
      return;
    }
    BufferRef buffer;
    job.error = mapFile(file, uint64_t(bytes), PROT_READ | PROT_WRITE, buffer);
    close(file);
    job.deliver = [buffer](napi_env e) { return js::number(e, buffers::add(buffer)); };
  });
}

napi_value detachRegion(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  return js::number(env, buffers::remove(in.id(0)));
}

/** ArrayBuffers of at most 1 GiB over a buffer, which stays mapped as long as one of them lives. */
napi_value panes(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  const BufferRef buffer = buffers::find(in.id(0));
  napi_value out;
  napi_create_array(env, &out);
  if (!buffer) return out;
  for (uint32_t pane = 0; pane < buffer->panes(); pane++) {
    const uint64_t from = pane * kPaneBytes;
    const uint64_t bytes = buffer->bytes - from < kPaneBytes ? buffer->bytes - from : kPaneBytes;
    napi_value array;
    auto* held = new BufferRef(buffer);
    const napi_status status = napi_create_external_arraybuffer(
        env, buffer->base + from, bytes, [](napi_env, void*, void* hint) { delete static_cast<BufferRef*>(hint); },
        held, &array);
    if (status != napi_ok) {
      delete held;
      napi_throw_error(env, "ERR_PLATFORM", "this runtime has no external ArrayBuffers");
      return nullptr;
    }
    napi_set_element(env, out, pane, array);
  }
  return out;
}

napi_value detachArrayBuffer(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  napi_detach_arraybuffer(env, in.values[0]);
  return js::undefined(env);
}

napi_value mapArena(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  return startJob(env, [path = in.text(0), deadlineMs = in.number(1)](Job& job) {
    int fd = -1;
    job.error = fdclient::receiveArena(path, int(deadlineMs), fd);
    if (job.error != 0) return;
    BufferRef reading, writing;
    job.error = mapFile(fd, 0, PROT_READ, reading);
    if (job.error == 0) job.error = mapFile(fd, 0, PROT_READ | PROT_WRITE, writing);
    close(fd);
    job.deliver = [reading, writing](napi_env e) {
      return js::numbers(e, {double(buffers::add(reading)), double(buffers::add(writing)), double(reading->bytes)});
    };
  });
}

napi_value passFd(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  const int fd = fcntl(int(in.number(1)), F_DUPFD_CLOEXEC, 0);
  return startJob(env, [path = in.text(0), fd, token = in.bytes(2), deadlineMs = in.number(3)](Job& job) {
    job.error = fd < 0 ? EBADF : fdclient::pass(path, fd, token, int(deadlineMs));
    if (fd >= 0) close(fd);
  });
}

napi_value startFdServer(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  return startJob(env, [instance = instances::find(in.id(0)), path = in.text(1)](Job& job) {
    if (!instance || !instance->arena.buffer) {
      job.error = EBADF;
      return;
    }
    auto server = FdServer::start(path, instance->arena.buffer->fd, job.error);
    job.deliver = [instance, server](napi_env e) {
      instance->fdServer = server;
      return js::undefined(e);
    };
  });
}

napi_value takePassedFd(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  const InstanceRef instance = instances::find(in.id(0));
  return js::number(env, instance && instance->fdServer ? instance->fdServer->take(in.bytes(1)) : -1);
}

}  // namespace

void exportMemory(napi_env env, napi_value exports) {
  exportFunction(env, exports, "createArena", createArena);
  exportFunction(env, exports, "shareArena", shareArena);
  exportFunction(env, exports, "createShared", createShared);
  exportFunction(env, exports, "attachRegion", attachRegion);
  exportFunction(env, exports, "detachRegion", detachRegion);
  exportFunction(env, exports, "panes", panes);
  exportFunction(env, exports, "detachArrayBuffer", detachArrayBuffer);
  exportFunction(env, exports, "mapArena", mapArena);
  exportFunction(env, exports, "passFd", passFd);
  exportFunction(env, exports, "startFdServer", startFdServer);
  exportFunction(env, exports, "takePassedFd", takePassedFd);
}

}  // namespace refill
