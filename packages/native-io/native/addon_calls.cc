// Calls on the file system, as jobs.
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"
#include "instance.h"
#include "jobs.h"
#include "probe.h"

namespace refill {
namespace {

napi_value openInstance(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  return startJob(env, [path = in.text(0), probe = in.flag(1)](Job& job) {
    auto instance = std::make_shared<Instance>();
    job.error = calls::openRoot(path, instance->rootFd);
    if (job.error != 0) return;
    DirectProbe found;
    // A read-only root is a state of its own, not a failure of the engine.
    const int error = probe ? probeDirect(instance->rootFd, found) : 0;
    if (error != 0) found.error = error;
    job.deliver = [instance, found](napi_env e) {
      return js::numbers(e, {double(instances::add(instance)), double(found.direct), double(found.error),
                             double(found.alignmentBytes), double(found.source)});
    };
  });
}

napi_value openFile(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  calls::OpenRequest request{in.text(1), in.flag(2), in.flag(3), in.flag(4), in.flag(5), int64_t(in.number(6)), {}};
  const std::string identity = in.bytes(7);
  request.identity.assign(identity.begin(), identity.end());
  return startJob(env, [instance = instances::find(in.id(0)), request](Job& job) {
    FileRef file;
    job.error = instance ? calls::open(instance->rootFd, request, file) : EBADF;
    job.deliver = [file](napi_env e) {
      return js::numbers(e, {double(files::add(file)), double(file->direct)});
    };
  });
}

napi_value closeFile(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  return js::number(env, files::remove(in.id(0)));
}

napi_value stat(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  return startJob(env, [instance = instances::find(in.id(0)), path = in.text(1)](Job& job) {
    calls::Stat out = {};
    job.error = instance ? calls::stat(instance->rootFd, path, out) : EBADF;
    job.deliver = [out](napi_env e) {
      return js::numbers(e, {double(out.sizeBytes), double(out.allocatedBytes), double(out.modifiedMs),
                             double(out.directory)});
    };
  });
}

napi_value statfs(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  return startJob(env, [instance = instances::find(in.id(0))](Job& job) {
    calls::FsStat out = {};
    job.error = instance ? calls::statfs(instance->rootFd, out) : EBADF;
    job.deliver = [out](napi_env e) {
      return js::numbers(e, {double(out.totalBytes), double(out.freeBytes), double(out.freeFiles), double(out.type)});
    };
  });
}

napi_value mkdir(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  return startJob(env, [instance = instances::find(in.id(0)), path = in.text(1)](Job& job) {
    job.error = instance ? calls::mkdir(instance->rootFd, path) : EBADF;
  });
}

/** Closes unless somebody took it. */
struct Held {
  int fd = -1;
  ~Held() {
    if (fd >= 0) files::closeLater(fd);
  }
};

napi_value lock(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  return startJob(env, [instance = instances::find(in.id(0)), path = in.text(1)](Job& job) {
    auto held = std::make_shared<Held>();
    job.error = instance ? calls::lock(instance->rootFd, path, held->fd) : EBADF;
    job.deliver = [held](napi_env e) { return js::number(e, std::exchange(held->fd, -1)); };
  });
}

napi_value unlock(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  files::closeLater(int(in.number(0)));
  return js::undefined(env);
}

napi_value list(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  return startJob(env, [instance = instances::find(in.id(0)), path = in.text(1)](Job& job) {
    auto names = std::make_shared<std::vector<std::string>>();
    job.error = instance ? calls::list(instance->rootFd, path, *names) : EBADF;
    job.deliver = [names](napi_env e) { return js::texts(e, *names); };
  });
}

napi_value unlink(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  return startJob(env, [instance = instances::find(in.id(0)), path = in.text(1)](Job& job) {
    job.error = instance ? calls::unlink(instance->rootFd, path) : EBADF;
  });
}

napi_value readFile(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  return startJob(env, [instance = instances::find(in.id(0)), path = in.text(1), most = in.number(2)](Job& job) {
    auto bytes = std::make_shared<std::string>();
    job.error = instance ? calls::readFile(instance->rootFd, path, uint64_t(most), *bytes) : EBADF;
    job.deliver = [bytes](napi_env e) {
      void* memory;
      napi_value buffer, array;
      napi_create_arraybuffer(e, bytes->size(), &memory, &buffer);
      if (!bytes->empty()) memcpy(memory, bytes->data(), bytes->size());
      napi_create_typedarray(e, napi_uint8_array, bytes->size(), buffer, 0, &array);
      return array;
    };
  });
}

napi_value writeFile(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  return startJob(env, [instance = instances::find(in.id(0)), path = in.text(1), bytes = in.bytes(2)](Job& job) {
    job.error = instance ? calls::writeFile(instance->rootFd, path, bytes) : EBADF;
  });
}

}  // namespace

void exportCalls(napi_env env, napi_value exports) {
  exportFunction(env, exports, "openInstance", openInstance);
  exportFunction(env, exports, "openFile", openFile);
  exportFunction(env, exports, "closeFile", closeFile);
  exportFunction(env, exports, "stat", stat);
  exportFunction(env, exports, "statfs", statfs);
  exportFunction(env, exports, "mkdir", mkdir);
  exportFunction(env, exports, "lock", lock);
  exportFunction(env, exports, "unlock", unlock);
  exportFunction(env, exports, "list", list);
  exportFunction(env, exports, "unlink", unlink);
  exportFunction(env, exports, "readFile", readFile);
  exportFunction(env, exports, "writeFile", writeFile);
}

}  // namespace refill
