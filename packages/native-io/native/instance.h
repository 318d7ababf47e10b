// What one BlockIO owns in native code: its root directory, arena, counters and the list of released buffers.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "arena.h"
#include "fdpass.h"
#include "lane_queue.h"
#include "pool.h"

namespace refill {

struct Release {
  uint32_t buffer;
  uint64_t offset;
  uint32_t length;
};

struct Counters {
  std::atomic<uint64_t> bytesRead{0}, bytesWritten{0}, reads{0}, writes{0}, syncs{0}, timeouts{0};
  std::atomic<int64_t> quarantined{0};
};

struct Instance {
  int rootFd = -1;
  Arena arena;
  /** Id of the arena in the table of buffers; batches call it 0. */
  uint32_t arenaId = 0;
  std::shared_ptr<FdServer> fdServer;
  Counters counters;
  /** Read batches now running anywhere: write-behind keeps its queue short meanwhile. */
  std::atomic<int> readsRunning{0};

  /** Batches that wait for a worker, of the read and of the write lane. */
  LaneQueue queues[2];

  /** Present when the threads engine runs. */
  PoolRef readPool, writePool;

  void release(const Release& release) {
    std::lock_guard lock(mutex_);
    releases_.push_back(release);
  }
  std::vector<Release> takeReleases() {
    std::lock_guard lock(mutex_);
    return std::exchange(releases_, {});
  }
  ~Instance();

 private:
  std::mutex mutex_;
  std::vector<Release> releases_;
};

using InstanceRef = std::shared_ptr<Instance>;

/** Instances of the process, found by workers under their number. */
namespace instances {
uint32_t add(InstanceRef instance);
InstanceRef find(uint32_t id);
InstanceRef remove(uint32_t id);
}  // namespace instances

}  // namespace refill
