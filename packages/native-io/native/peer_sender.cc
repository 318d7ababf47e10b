#include "peer_sender.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "clock.h"

namespace refill::peer {
namespace {

constexpr uint32_t kAcceptsATurn = 64;
constexpr int64_t kRestMicros = 100'000;

}  // namespace

Sender::~Sender() {
  if (listener_ >= 0) ::close(listener_);
}

int Sender::start(const std::string& host, uint16_t& port, const SocketOptions& options) {
  if (const int error = loop_.open()) return error;
  if (const int error = listenOn(host, port, options, listener_)) return error;
  if (!loop_.watch(listener_, EPOLLIN, this)) return errno;
  return loop_.start(shared_from_this());
}

bool Sender::offer(uint32_t id, const OfferRef& offer) {
  bool isNext = false;
  if (!offers_.add(id, offer, isNext)) return false;
  counters_->offers++;
  // The thread may sleep beyond its end.
  if (isNext) loop_.post([] {});
  return true;
}

void Sender::end(uint32_t id) {
  // A borrower is cut a grace later: the thread has to know.
  if (offers_.end(id, nowMicros())) loop_.post([] {});
}

void Sender::onEvent(void* who, uint32_t events, int64_t nowMicros) {
  if (who == this) return acceptAll(nowMicros);
  auto& connection = *static_cast<Sending*>(who);
  if (connection.isClosed) return;
  // Nobody reads any more: what is left would only be thrown away.
  if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) return close(connection);
  drive(connection, nowMicros);
}

void Sender::acceptAll(int64_t nowMicros) {
  for (uint32_t i = 0; i < kAcceptsATurn; i++) {
    const int socket = acceptOne(listener_);
    if (socket < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) rest(nowMicros);
      return;
    }
    if (connections_.size() >= connectionsMax_ && !makeRoom()) {
      counters_->refused++;
      cut(socket);
      continue;
    }
    auto connection = std::make_unique<Sending>(socket, offers_, *counters_, nowMicros);
    if (loop_.watch(socket, EPOLLIN | EPOLLRDHUP, connection.get())) connections_.insert(connection.release());
  }
}

/** The process is out of descriptors: a listener that stays readable must not keep the thread busy. */
void Sender::rest(int64_t nowMicros) {
  makeRoom();
  acceptAgainMicros_ = nowMicros + kRestMicros;
  loop_.change(listener_, 0, this);
}

/** Closes the connection that was idle longest, strangers first. False when all are busy. */
bool Sender::makeRoom() {
  Sending* least = nullptr;
  const auto isLess = [](const Sending& a, const Sending& b) {
    return a.isKnown() != b.isKnown() ? !a.isKnown() : a.sinceMicros() < b.sinceMicros();
  };
  for (Sending* connection : connections_)
    if (connection->isIdle() && (least == nullptr || isLess(*connection, *least))) least = connection;
  if (least == nullptr) return false;
  if (!least->isKnown()) counters_->refused++;
  close(*least);
  return true;
}

void Sender::drive(Sending& connection, int64_t nowMicros) {
  const Sending::Next next = connection.go(nowMicros);
  if (next == Sending::Next::cut) return close(connection);
  if (next == Sending::Next::more) ready_.insert(&connection);
  else ready_.erase(&connection);
  // While one has more to do, the turn after the events drives it.
  const bool wantsWrite = next == Sending::Next::writable;
  if (wantsWrite == connection.wantsWrite) return;
  connection.wantsWrite = wantsWrite;
  loop_.change(connection.socket(), (wantsWrite ? EPOLLOUT : EPOLLIN) | EPOLLRDHUP, &connection);
}

void Sender::close(Sending& connection) {
  if (connection.isClosed) return;
  connection.isClosed = true;
  loop_.forget(connection.socket());
  connections_.erase(&connection);
  ready_.erase(&connection);
  closed_.emplace_back(&connection);
}

int64_t Sender::onTurn(int64_t nowMicros) {
  for (Sending* connection : std::vector<Sending*>(ready_.begin(), ready_.end())) drive(*connection, nowMicros);
  if (acceptAgainMicros_ <= nowMicros) {
    acceptAgainMicros_ = INT64_MAX;
    loop_.change(listener_, EPOLLIN, this);
  }
  int64_t next = std::min(offers_.expire(nowMicros), acceptAgainMicros_);
  for (Sending* connection : std::vector<Sending*>(connections_.begin(), connections_.end())) {
    const int64_t due = connection->dueMicros();
    if (due > nowMicros) {
      next = std::min(next, due);
      continue;
    }
    // A known one that was idle for long has done nothing wrong.
    if (!connection->isIdle() || !connection->isKnown()) counters_->refused++;
    close(*connection);
  }
  // Their memory is given back here: no event of this turn is left that could touch them.
  closed_.clear();
  return ready_.empty() ? next : nowMicros;
}

void Sender::onStop() {
  for (Sending* connection : std::vector<Sending*>(connections_.begin(), connections_.end())) close(*connection);
  closed_.clear();
  if (listener_ >= 0) ::close(std::exchange(listener_, -1));
  offers_.close(nowMicros());
}

}  // namespace refill::peer
