// The sending half of a transport: one thread, a listening socket, the connections of readers.
#pragma once
#include <memory>
#include <unordered_set>

#include "peer_loop.h"
#include "peer_sending.h"
#include "peer_socket.h"

namespace refill::peer {

class Sender : public LoopUser, public std::enable_shared_from_this<Sender> {
 public:
  Sender(std::shared_ptr<Counters> counters, uint32_t connectionsMax)
      : counters_(std::move(counters)), connectionsMax_(connectionsMax) {}
  ~Sender() override;

  /** Listens and runs: 0 or an errno. `port` becomes the real one. */
  int start(const std::string& host, uint16_t& port, const SocketOptions& options);
  /** False when there are too many, or it is stopping. */
  bool offer(uint32_t id, const OfferRef& offer);
  void end(uint32_t id);
  /** Cuts every connection, releases every offer, then calls `stopped`. Once. */
  void stop(std::function<void()> stopped) { loop_.stop(std::move(stopped)); }
  std::string congestion() const { return congestionOf(listener_); }

  void onEvent(void* who, uint32_t events, int64_t nowMicros) override;
  int64_t onTurn(int64_t nowMicros) override;
  void onStop() override;

 private:
  void acceptAll(int64_t nowMicros);
  void rest(int64_t nowMicros);
  bool makeRoom();
  void drive(Sending& connection, int64_t nowMicros);
  void close(Sending& connection);

  std::shared_ptr<Counters> counters_;
  const uint32_t connectionsMax_;
  Offers offers_;
  Loop loop_;
  int listener_ = -1;
  int64_t acceptAgainMicros_ = INT64_MAX;
  std::unordered_set<Sending*> connections_;
  /** With more to do at once. */
  std::unordered_set<Sending*> ready_;
  /** Closed in this turn, which may have further events for them. */
  std::vector<std::unique_ptr<Sending>> closed_;
};

}  // namespace refill::peer
