#include "peer_receiver.h"

#include <errno.h>
#include <sys/epoll.h>

#include <algorithm>

#include "clock.h"

namespace refill::peer {
namespace {

/** Shorter than the sender's patience, so that the side that would send next closes first. */
constexpr int64_t kIdleMicros = 30'000'000;
/** Calls that wait for a connection to one peer. One that is this far behind gets nothing by waiting. */
constexpr size_t kWaitingMax = 1024;

}  // namespace

int Receiver::start() {
  if (const int error = loop_.open()) return error;
  return loop_.start(shared_from_this());
}

void Receiver::receive(ReceiveRef receive) {
  loop_.post([this, receive = std::move(receive)] {
    auto& peer = peers_[receive->address];
    peer.address = receive->address;
    if (peer.waiting.size() >= kWaitingMax) return settle(receive, kFailed);
    peer.waiting.push_back(receive);
    assign(peer, nowMicros());
  });
}

/** Gives waiting calls to connections, kept or new. */
void Receiver::assign(Peer& peer, int64_t nowMicros) {
  while (!peer.waiting.empty() && (!peer.idle.empty() || peer.connections < connectionsPerPeer_)) {
    const ReceiveRef next = peer.waiting.front();
    peer.waiting.pop_front();
    if (next->deadlineMicros <= nowMicros) {
      counters_->timeouts++;
      settle(next, kLate);
      continue;
    }
    Receiving* connection;
    if (peer.idle.empty()) {
      connection = dial(peer);
      if (connection == nullptr) {
        settle(next, kFailed);
        continue;
      }
    } else {
      connection = peer.idle.back();
      peer.idle.pop_back();
    }
    connection->begin(next);
    // One that is being connected is heard of by the loop.
    if (connection->isUsed) drive(*connection, nowMicros);
  }
}

Receiving* Receiver::dial(Peer& peer) {
  int socket = -1;
  if (beginConnect(peer.address, options_, socket) != 0) return nullptr;
  auto connection = std::make_unique<Receiving>(socket, *counters_);
  connection->peer = &peer;
  connection->events = EPOLLOUT;
  if (!loop_.watch(socket, EPOLLOUT, connection.get())) return nullptr;
  peer.connections++;
  connections_.insert(connection.get());
  return connection.release();
}

void Receiver::onEvent(void* who, uint32_t, int64_t nowMicros) {
  auto& connection = *static_cast<Receiving*>(who);
  if (connection.isClosed) return;
  // Nobody was asked anything: it was closed, or is not one of us.
  if (!connection.receive()) return close(connection);
  drive(connection, nowMicros);
}

void Receiver::drive(Receiving& connection, int64_t nowMicros) {
  const Receiving::Next next = connection.go();
  if (next == Receiving::Next::cut) return lose(connection, nowMicros);
  if (next == Receiving::Next::more) ready_.insert(&connection);
  else ready_.erase(&connection);
  const uint32_t events = next == Receiving::Next::writable ? EPOLLOUT : EPOLLIN;
  if (events != connection.events) loop_.change(connection.socket(), events, &connection);
  connection.events = events;
  if (next == Receiving::Next::done) keep(connection, nowMicros);
}

/** A `receive` is complete: its connection serves the next one. */
void Receiver::keep(Receiving& connection, int64_t nowMicros) {
  settle(connection.end(), kFailed);
  connection.isUsed = true;
  connection.idleSinceMicros = nowMicros;
  Peer& peer = *static_cast<Peer*>(connection.peer);
  peer.idle.push_back(&connection);
  assign(peer, nowMicros);
}

/** The connection broke. A kept one may have been dead all along: its call has another try. */
void Receiver::lose(Receiving& connection, int64_t nowMicros) {
  Peer& peer = *static_cast<Peer*>(connection.peer);
  const ReceiveRef receive = connection.end();
  const bool isStale = connection.isUsed && connection.isUnheard() && !receive->isRetried;
  close(connection);
  if (isStale) {
    receive->isRetried = true;
    peer.waiting.push_front(receive);
    // Those beside it are no better.
    for (Receiving* idle : std::vector<Receiving*>(peer.idle)) close(*idle);
  } else {
    settle(receive, kFailed);
  }
  assign(peer, nowMicros);
}

void Receiver::settle(const ReceiveRef& receive, uint32_t status) {
  receive->giveUp(status);
  receive->settled();
}

void Receiver::close(Receiving& connection) {
  if (connection.isClosed) return;
  connection.isClosed = true;
  loop_.forget(connection.socket());
  Peer& peer = *static_cast<Peer*>(connection.peer);
  std::erase(peer.idle, &connection);
  peer.connections--;
  connections_.erase(&connection);
  ready_.erase(&connection);
  closed_.emplace_back(&connection);
}

int64_t Receiver::onTurn(int64_t nowMicros) {
  for (Receiving* connection : std::vector<Receiving*>(ready_.begin(), ready_.end())) {
    if (!connection->isClosed && connection->receive()) drive(*connection, nowMicros);
  }
  int64_t next = INT64_MAX;
  for (Receiving* connection : std::vector<Receiving*>(connections_.begin(), connections_.end())) {
    if (connection->isClosed) continue;
    const bool isIdle = connection->receive() == nullptr;
    const int64_t due = isIdle ? connection->idleSinceMicros + kIdleMicros : connection->receive()->deadlineMicros;
    if (due > nowMicros) {
      next = std::min(next, due);
      continue;
    }
    // Only `drive` writes to the memory, and never again through a connection that is closed.
    const ReceiveRef receive = connection->end();
    close(*connection);
    if (isIdle) continue;
    counters_->timeouts++;
    settle(receive, kLate);
    assign(*static_cast<Peer*>(connection->peer), nowMicros);
  }
  next = std::min(next, expireWaiting(nowMicros));
  closed_.clear();
  std::erase_if(peers_, [](const auto& entry) { return entry.second.connections == 0 && entry.second.waiting.empty(); });
  return ready_.empty() ? next : nowMicros;
}

/** Calls that no connection took in time. Answers when the next one is due. */
int64_t Receiver::expireWaiting(int64_t nowMicros) {
  int64_t next = INT64_MAX;
  for (auto& [address, peer] : peers_) {
    for (size_t i = 0; i < peer.waiting.size();) {
      const ReceiveRef receive = peer.waiting[i];
      if (receive->deadlineMicros > nowMicros) {
        next = std::min(next, receive->deadlineMicros);
        i++;
        continue;
      }
      peer.waiting.erase(peer.waiting.begin() + ptrdiff_t(i));
      counters_->timeouts++;
      settle(receive, kLate);
    }
  }
  return next;
}

void Receiver::onStop() {
  for (Receiving* connection : std::vector<Receiving*>(connections_.begin(), connections_.end())) {
    const ReceiveRef receive = connection->end();
    close(*connection);
    if (receive) settle(receive, kFailed);
  }
  for (auto& [address, peer] : peers_)
    for (const ReceiveRef& receive : std::exchange(peer.waiting, {})) settle(receive, kFailed);
  closed_.clear();
}

}  // namespace refill::peer
