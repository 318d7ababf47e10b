#include "engines.h"

#include "threads.h"
#include "uring.h"

namespace refill::engines {

namespace {
constexpr unsigned kStuckMax = 64;
}

std::vector<std::string> uringFeatures(int& error) {
  const auto engine = UringEngine::create(Lane::read, error);
  return engine ? engine->features() : std::vector<std::string>();
}

void useThreads(Instance& instance, unsigned readThreads, unsigned writeThreads) {
  instance.readPool = std::make_shared<ThreadPool>(readThreads, kStuckMax, false);
  instance.writePool = std::make_shared<ThreadPool>(writeThreads, kStuckMax, true);
}

std::unique_ptr<Engine> create(Instance& instance, Lane lane, int& error) {
  error = 0;
  const PoolRef& pool = lane == Lane::read ? instance.readPool : instance.writePool;
  if (pool) return std::make_unique<ThreadsEngine>(lane, pool);
  return UringEngine::create(lane, error);
}

}  // namespace refill::engines
