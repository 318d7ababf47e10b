#pragma once
#include <atomic>
#include <cstdint>

namespace refill::peer {

/** Of one transport, both directions: `PeerCounters` of the contract. */
struct Counters {
  std::atomic<uint64_t> bytesSent{0}, bytesReceived{0}, blocksSent{0}, blocksReceived{0}, offers{0};
  std::atomic<uint64_t> refused{0}, corrupt{0}, timeouts{0};
};

}  // namespace refill::peer
