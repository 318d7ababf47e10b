#include "engines.h"

#include "threads.h"
#include "uring.h"

namespace refill::engines {

namespace {
constexpr unsigned kStuckMax = 64;
}

std::vector<std::string> uringFeatures(unsigned rings, int& error) {
  std::vector<std::unique_ptr<UringEngine>> engines;
  do {
    engines.push_back(UringEngine::create(Lane::read, error));
    if (!engines.back()) return {};
  } while (engines.size() < rings);
  return engines.front()->features();
}

void useThreads(Instance& instance, unsigned readThreads, unsigned writeThreads) {
  instance.readPool = std::make_shared<ThreadPool>(readThreads, kStuckMax, false);
  instance.writePool = std::make_shared<ThreadPool>(writeThreads, kStuckMax, true);
}

std::unique_ptr<Engine> create(Instance& instance, Lane lane, int& error) {
  error = 0;
  const PoolRef& pool = lane == Lane::read ? instance.readPool : instance.writePool;
  if (pool) return std::make_unique<ThreadsEngine>(pool);
  return UringEngine::create(lane, error);
}

}  // namespace refill::engines
