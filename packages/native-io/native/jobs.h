// Calls that may hang run as jobs on the control threads and answer through one JavaScript function per environment.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "engine.h"
#include "js.h"
#include "pool.h"

namespace refill {

struct Job;

/** What one JavaScript environment (main thread or worker) owns. */
struct Environment {
  std::mutex mutex;
  napi_threadsafe_function answers = nullptr;
  uint32_t nextJob = 1;
  std::unordered_map<uint32_t, TaskRef> running;
  /** Pairs of slot and status of batches that are done, until JavaScript takes them. */
  std::vector<int32_t> settled;
  /** Engines of this thread, by instance and lane. */
  std::unordered_map<uint64_t, std::unique_ptr<Engine>> engines;
};

using EnvironmentRef = std::shared_ptr<Environment>;

struct Job {
  uint32_t id = 0;
  int error = 0;
  /** Makes the value on the JavaScript thread; whatever it holds is let go when nobody waits any more. */
  std::function<napi_value(napi_env)> deliver;
};

EnvironmentRef& environmentOf(napi_env env);
void createEnvironment(napi_env env);
/** Tells the environment's JavaScript, from any thread, that the batch in `slot` is done. */
void settleBatch(Environment& environment, uint32_t slot, int32_t status);
/** Starts `work` and returns the job's number. */
napi_value startJob(napi_env env, std::function<void(Job&)> work);
ThreadPool& controlPool();

using Callback = napi_value (*)(napi_env, napi_callback_info);
void exportFunction(napi_env env, napi_value exports, const char* name, Callback callback);
void exportJobControl(napi_env env, napi_value exports);
void exportCalls(napi_env env, napi_value exports);
void exportMemory(napi_env env, napi_value exports);
void exportBatches(napi_env env, napi_value exports);
void exportPeers(napi_env env, napi_value exports);

}  // namespace refill
