// Batches, checksums and counters.
#include <errno.h>

#include "checksum.h"
#include "clock.h"
#include "engines.h"
#include "jobs.h"

namespace refill {
namespace {

/** What the kernel grants, so many rings at a time: [errno, ...names]. */
napi_value probeUring(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  int error = 0;
  std::vector<std::string> names = engines::uringFeatures(in.id(0), error);
  names.insert(names.begin(), std::to_string(-error));
  return js::texts(env, names);
}

napi_value useThreads(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  const InstanceRef instance = instances::find(in.id(0));
  if (instance) engines::useThreads(*instance, in.id(1), in.id(2));
  return js::undefined(env);
}

Engine* engineOf(Environment& environment, const InstanceRef& instance, uint32_t id, Lane lane, int& error) {
  const uint64_t key = uint64_t(id) << 1 | uint64_t(lane);
  auto& engine = environment.engines[key];
  if (!engine) engine = engines::create(*instance, lane, error);
  return engine.get();
}

/** Queues a batch: whether a worker that waits will take it. */
napi_value enqueue(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  const InstanceRef instance = instances::find(in.id(0));
  size_t bytes = 0;
  uint8_t* words = in.memory(2, bytes);
  const uint32_t count = in.id(3), slot = in.id(4);
  const EnvironmentRef& environment = environmentOf(env);
  if (!instance || words == nullptr || bytes / sizeof(IoOp) < count) {
    settleBatch(*environment, slot, -EINVAL);
    return js::boolean(env, true);
  }
  LaneQueue& queue = instance->queues[in.id(1)];
  if (!queue.settled) {
    queue.settled = [environment](uint32_t done, int32_t status) { settleBatch(*environment, done, status); };
  }
  const Ticket ticket{slot, reinterpret_cast<IoOp*>(words), count, int64_t(in.number(5)), int64_t(in.number(6))};
  return js::boolean(env, queue.push(ticket));
}

/** Takes a queued batch back: false when a worker has it. */
napi_value withdraw(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  const InstanceRef instance = instances::find(in.id(0));
  return js::boolean(env, instance && instance->queues[in.id(1)].withdraw(in.id(2)));
}

napi_value batchesWait(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  const InstanceRef instance = instances::find(in.id(0));
  return js::boolean(env, instance && !instance->queues[in.id(1)].empty());
}

/** Runs the next batch on this thread: false when none came in time. */
napi_value runNext(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  const uint32_t id = in.id(0);
  const Lane lane = Lane(in.id(1));
  const InstanceRef instance = instances::find(id);
  if (!instance) return js::boolean(env, false);
  LaneQueue& queue = instance->queues[int(lane)];
  Ticket ticket;
  if (!queue.pop(ticket, int64_t(in.number(4)))) return js::boolean(env, false);
  int error = 0;
  Engine* engine = engineOf(*environmentOf(env), instance, id, lane, error);
  if (engine != nullptr) {
    const RunOptions options{lane, ticket.startedMicros, ticket.deadlineMicros, in.id(2), in.id(3)};
    engine->sweep();
    auto run = std::make_shared<BatchRun>();
    run->plan(instance, ticket.ops, ticket.count, ticket.startedMicros);
    engine->execute(*instance, run, options);
  }
  queue.settled(ticket.slot, error);
  return js::boolean(env, true);
}

/** Takes late answers on this thread; forgets the engine when its instance is gone. */
napi_value sweep(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  auto& all = environmentOf(env)->engines;
  const auto found = all.find(uint64_t(in.id(0)) << 1 | in.id(1));
  if (found != all.end() && found->second) found->second->sweep();
  return js::undefined(env);
}

napi_value closeInstance(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  instances::remove(in.id(0));
  return js::undefined(env);
}

napi_value counters(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  const InstanceRef instance = instances::find(in.id(0));
  size_t bytes = 0;
  auto* out = reinterpret_cast<double*>(in.memory(1, bytes));
  if (!instance || bytes < 7 * sizeof(double)) return js::undefined(env);
  const Counters& now = instance->counters;
  out[0] = double(now.bytesRead);
  out[1] = double(now.bytesWritten);
  out[2] = double(now.reads);
  out[3] = double(now.writes);
  out[4] = double(now.syncs);
  out[5] = double(now.timeouts);
  out[6] = double(now.quarantined);
  return js::undefined(env);
}

/** Flat list of buffer, offset, length. */
napi_value takeReleases(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  const InstanceRef instance = instances::find(in.id(0));
  std::vector<double> flat;
  if (instance)
    for (const Release& release : instance->takeReleases())
      flat.insert(flat.end(), {double(release.buffer), double(release.offset), double(release.length)});
  return js::numbers(env, flat);
}

/** crc64(bytes, level = best): -1 for the best. */
napi_value checksum(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  size_t bytes = 0;
  const uint8_t* data = in.memory(0, bytes);
  const auto level = in.number(1) < 0 ? crcLevelBest() : CrcLevel(int(in.number(1)));
  if (level > crcLevelBest()) return js::undefined(env);
  napi_value out;
  napi_create_bigint_uint64(env, crc64By(level, 0, data, bytes), &out);
  return out;
}

napi_value checksumLevels(napi_env env, napi_callback_info) {
  std::vector<std::string> names;
  for (int level = 0; level <= int(crcLevelBest()); level++) names.push_back(crcLevelName(CrcLevel(level)));
  return js::texts(env, names);
}

napi_value now(napi_env env, napi_callback_info) { return js::number(env, double(nowMicros())); }

napi_value openHandles(napi_env env, napi_callback_info) {
  return js::numbers(env, {double(files::openCount()), double(buffers::count())});
}

}  // namespace

void exportBatches(napi_env env, napi_value exports) {
  exportFunction(env, exports, "probeUring", probeUring);
  exportFunction(env, exports, "useThreads", useThreads);
  exportFunction(env, exports, "enqueue", enqueue);
  exportFunction(env, exports, "withdraw", withdraw);
  exportFunction(env, exports, "batchesWait", batchesWait);
  exportFunction(env, exports, "runNext", runNext);
  exportFunction(env, exports, "sweep", sweep);
  exportFunction(env, exports, "closeInstance", closeInstance);
  exportFunction(env, exports, "counters", counters);
  exportFunction(env, exports, "takeReleases", takeReleases);
  exportFunction(env, exports, "checksum", checksum);
  exportFunction(env, exports, "checksumLevels", checksumLevels);
  exportFunction(env, exports, "nowMicros", now);
  exportFunction(env, exports, "openHandles", openHandles);
}

}  // namespace refill
