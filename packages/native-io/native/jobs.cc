#include "jobs.h"

#include <unistd.h>

#include <algorithm>

#include "files.h"

namespace refill {
namespace {

constexpr unsigned kControlThreads = 8;
constexpr unsigned kStuckMax = 64;

void closeOnPool(int fd) {
  auto task = std::make_shared<Task>();
  task->run = [fd] { close(fd); };
  controlPool().submit(std::move(task));
}

void answer(napi_env env, napi_value handler, void* context, void* data) {
  std::unique_ptr<Job> job(static_cast<Job*>(data));
  if (env == nullptr) return;
  auto* environment = static_cast<EnvironmentRef*>(context)->get();
  if (job == nullptr) {
    // Job 0: batches are done.
    napi_value none[1] = {js::number(env, 0)};
    napi_value receiver = js::undefined(env), ignored;
    napi_call_function(env, receiver, handler, 1, none, &ignored);
    return;
  }
  // An abandoned job has no entry: what it brought is dropped here.
  if (environment->running.erase(job->id) == 0) return;
  napi_value arguments[3] = {js::number(env, job->id), js::number(env, job->error), js::undefined(env)};
  if (job->error == 0 && job->deliver) arguments[2] = job->deliver(env);
  napi_value receiver = js::undefined(env), ignored;
  napi_call_function(env, receiver, handler, 3, arguments, &ignored);
}

void leave(void* data) {
  Environment& environment = **static_cast<EnvironmentRef*>(data);
  napi_threadsafe_function answers;
  {
    std::lock_guard lock(environment.mutex);
    answers = std::exchange(environment.answers, nullptr);
  }
  environment.engines.clear();
  if (answers != nullptr) napi_release_threadsafe_function(answers, napi_tsfn_abort);
}

napi_value setHandler(napi_env env, napi_callback_info info) {
  const js::Arguments arguments(env, info);
  EnvironmentRef& environment = environmentOf(env);
  napi_threadsafe_function answers = nullptr;
  auto* context = new EnvironmentRef(environment);
  napi_create_threadsafe_function(
      env, arguments.values[0], nullptr, js::text(env, "refill"), 0, 1, context,
      [](napi_env, void*, void* hint) { delete static_cast<EnvironmentRef*>(hint); }, context, answer, &answers);
  // The deadline timer of each call keeps the process alive, not the channel.
  napi_unref_threadsafe_function(env, answers);
  std::lock_guard lock(environment->mutex);
  environment->answers = answers;
  return js::undefined(env);
}

/** Fills pairs of slot and status and returns how many pairs. */
napi_value takeSettled(napi_env env, napi_callback_info info) {
  const js::Arguments arguments(env, info);
  size_t bytes = 0;
  auto* out = reinterpret_cast<int32_t*>(arguments.memory(0, bytes));
  Environment& environment = *environmentOf(env);
  std::lock_guard lock(environment.mutex);
  auto& settled = environment.settled;
  const size_t words = std::min(settled.size(), bytes / 8 * 2);
  std::copy_n(settled.begin(), words, out);
  settled.erase(settled.begin(), settled.begin() + ptrdiff_t(words));
  return js::number(env, double(words / 2));
}

napi_value abandonJob(napi_env env, napi_callback_info info) {
  const js::Arguments arguments(env, info);
  EnvironmentRef& environment = environmentOf(env);
  const auto found = environment->running.find(arguments.id(0));
  if (found != environment->running.end()) {
    controlPool().abandon(found->second);
    environment->running.erase(found);
  }
  return js::undefined(env);
}

}  // namespace

ThreadPool& controlPool() {
  static PoolRef* const pool = [] {
    files::closeLater = closeOnPool;
    return new PoolRef(std::make_shared<ThreadPool>(kControlThreads, kStuckMax, false));
  }();
  return **pool;
}

EnvironmentRef& environmentOf(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return *static_cast<EnvironmentRef*>(data);
}

void createEnvironment(napi_env env) {
  auto* environment = new EnvironmentRef(std::make_shared<Environment>());
  napi_set_instance_data(
      env, environment, [](napi_env, void* data, void*) { delete static_cast<EnvironmentRef*>(data); }, nullptr);
  napi_add_env_cleanup_hook(env, leave, environment);
  controlPool();
}

void settleBatch(Environment& environment, uint32_t slot, int32_t status) {
  std::lock_guard lock(environment.mutex);
  if (environment.answers == nullptr) return;
  // Who is told of one batch takes all that are done by then.
  const bool told = !environment.settled.empty();
  environment.settled.insert(environment.settled.end(), {int32_t(slot), status});
  if (!told) napi_call_threadsafe_function(environment.answers, nullptr, napi_tsfn_nonblocking);
}

napi_value startJob(napi_env env, std::function<void(Job&)> work) {
  const EnvironmentRef& environment = environmentOf(env);
  const uint32_t id = environment->nextJob++;
  auto task = std::make_shared<Task>();
  task->run = [environment, id, work = std::move(work)] {
    auto job = std::make_unique<Job>();
    job->id = id;
    work(*job);
    std::lock_guard lock(environment->mutex);
    if (environment->answers == nullptr) return;
    if (napi_call_threadsafe_function(environment->answers, job.get(), napi_tsfn_nonblocking) == napi_ok) job.release();
  };
  environment->running.emplace(id, task);
  controlPool().submit(std::move(task));
  return js::number(env, id);
}

void exportFunction(napi_env env, napi_value exports, const char* name, Callback callback) {
  napi_value function;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
  napi_set_named_property(env, exports, name, function);
}

void exportJobControl(napi_env env, napi_value exports) {
  exportFunction(env, exports, "setHandler", setHandler);
  exportFunction(env, exports, "abandonJob", abandonJob);
  exportFunction(env, exports, "takeSettled", takeSettled);
}

}  // namespace refill
