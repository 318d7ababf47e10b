// The receiving half of a transport: one thread, a few connections to each peer, kept for the next call.
#pragma once
#include <deque>
#include <unordered_map>
#include <unordered_set>

#include "peer_loop.h"
#include "peer_receiving.h"
#include "peer_socket.h"

namespace refill::peer {

class Receiver : public LoopUser, public std::enable_shared_from_this<Receiver> {
 public:
  Receiver(std::shared_ptr<Counters> counters, SocketOptions options, uint32_t connectionsPerPeer)
      : counters_(std::move(counters)), options_(std::move(options)), connectionsPerPeer_(connectionsPerPeer) {}

  /** 0 or an errno. */
  int start();
  /** Settles it by its deadline. */
  void receive(ReceiveRef receive);
  /** Fails everything, cuts every connection, then calls `stopped`. Once. */
  void stop(std::function<void()> stopped) { loop_.stop(std::move(stopped)); }

  void onEvent(void* who, uint32_t events, int64_t nowMicros) override;
  int64_t onTurn(int64_t nowMicros) override;
  void onStop() override;

 private:
  struct Peer {
    std::string address;
    std::deque<ReceiveRef> waiting;
    std::vector<Receiving*> idle;
    uint32_t connections = 0;
  };

  void assign(Peer& peer, int64_t nowMicros);
  Receiving* dial(Peer& peer);
  void drive(Receiving& connection, int64_t nowMicros);
  void settle(const ReceiveRef& receive, uint32_t status);
  void lose(Receiving& connection, int64_t nowMicros);
  void keep(Receiving& connection, int64_t nowMicros);
  void close(Receiving& connection);
  int64_t expireWaiting(int64_t nowMicros);

  std::shared_ptr<Counters> counters_;
  const SocketOptions options_;
  const uint32_t connectionsPerPeer_;
  Loop loop_;
  std::unordered_map<std::string, Peer> peers_;
  std::unordered_set<Receiving*> connections_;
  std::unordered_set<Receiving*> ready_;
  std::vector<std::unique_ptr<Receiving>> closed_;
};

}  // namespace refill::peer
