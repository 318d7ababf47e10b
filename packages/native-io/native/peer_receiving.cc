#include "peer_receiving.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>

#include "guard.h"
#include "peer_socket.h"

namespace refill::peer {
namespace {

/** Taken and summed together, while it is in the cache. */
constexpr uint32_t kPieceBytes = 256u << 10;
/** After this much others have their turn. */
constexpr uint32_t kTurnBytes = 4u << 20;

}  // namespace

Receiving::~Receiving() { cut(socket_); }

void Receiving::begin(ReceiveRef receive) {
  receive_ = std::move(receive);
  RequestHead head = {kRequestMagic, kVersion, 0, ++requests_, uint32_t(receive_->rows.size()), {}};
  memcpy(head.ticket, receive_->ticket, kTicketBytes);
  request_.resize(sizeof head + receive_->rows.size() * sizeof(RequestEntry));
  memcpy(request_.data(), &head, sizeof head);
  uint8_t* at = request_.data() + sizeof head;
  for (const ReceiveRow& row : receive_->rows) {
    const RequestEntry entry = {row.index, row.length};
    memcpy(at, &entry, sizeof entry);
    at += sizeof entry;
  }
  requestSent_ = 0;
  position_ = 0;
  inBlock_ = false;
  isUnheard_ = true;
  tailHave_ = 0;
  tailWant_ = sizeof(AnswerHead);
}

Receiving::Next Receiving::go() {
  if (!isConnected_) {
    if (connectResult(socket_) != 0) return Next::cut;
    isConnected_ = true;
  }
  return requestSent_ < request_.size() ? sendRequest() : take();
}

Receiving::Next Receiving::sendRequest() {
  while (requestSent_ < request_.size()) {
    const ssize_t sent =
        send(socket_, request_.data() + requestSent_, request_.size() - requestSent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Next::writable;
    if (sent < 0) return Next::cut;
    requestSent_ += size_t(sent);
  }
  return Next::readable;
}

Receiving::Next Receiving::take() {
  for (uint32_t moved = 0; moved < kTurnBytes;) {
    iovec vectors[2];
    int count = 0;
    uint32_t payload = 0;
    if (inBlock_) {
      const uint32_t left = receive_->rows[position_].length - taken_;
      payload = std::min(left, kPieceBytes);
      if (payload > 0) vectors[count++] = {receive_->targets[position_] + taken_, payload};
      if (payload == left) vectors[count++] = {tail_ + tailHave_, tailWant_ - tailHave_};
    } else {
      vectors[count++] = {tail_ + tailHave_, tailWant_ - tailHave_};
    }
    msghdr message = {};
    message.msg_iov = vectors;
    message.msg_iovlen = size_t(count);
    const ssize_t got = recvmsg(socket_, &message, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Next::readable;
    if (got <= 0) return Next::cut;
    isUnheard_ = false;
    moved += uint32_t(got);
    const uint32_t ofPayload = std::min(payload, uint32_t(got));
    if (ofPayload > 0 && !takePayload(ofPayload)) return Next::cut;
    tailHave_ += uint32_t(got) - ofPayload;
    if (tailHave_ < tailWant_) continue;
    if (!parseTail()) {
      counters_.refused++;
      return Next::cut;
    }
    if (position_ == receive_->rows.size()) return Next::done;
  }
  return Next::more;
}

/** The memory may be a client's, who may have given it back. */
bool Receiving::takePayload(uint32_t bytes) {
  const uint8_t* from = receive_->targets[position_] + taken_;
  if (!guarded([&] { sum_ = crc64(sum_, from, bytes); })) return false;
  taken_ += bytes;
  counters_.bytesReceived += bytes;
  return true;
}

bool Receiving::parseTail() {
  uint32_t at = 0;
  if (inBlock_) {
    uint64_t sum;
    memcpy(&sum, tail_, sizeof sum);
    endBlock(sum);
    at = kChecksumBytes;
    if (position_ == receive_->rows.size()) return true;
  }
  AnswerHead head;
  memcpy(&head, tail_ + at, sizeof head);
  return beginBlock(head);
}

bool Receiving::beginBlock(const AnswerHead& head) {
  if (head.magic != kAnswerMagic || head.request != requests_ || head.zero != 0) return false;
  tailHave_ = 0;
  inBlock_ = false;
  tailWant_ = sizeof(AnswerHead);
  auto& rows = receive_->rows;
  if (head.position == kWholeRequest) {
    // Only instead of answers.
    if (position_ != 0 || head.status == kSent || head.length != 0) return false;
    receive_->giveUp(head.status == kRefused ? kRefusedBlock : kFailed);
    position_ = uint32_t(rows.size());
    return true;
  }
  if (head.position != position_) return false;
  if (head.status == kRefused && head.length == 0) {
    rows[position_++].status = kRefusedBlock;
    return true;
  }
  if (head.status != kSent || head.length != rows[position_].length) return false;
  inBlock_ = true;
  taken_ = 0;
  sum_ = 0;
  tailWant_ = kChecksumBytes + (isLast() ? 0 : uint32_t(sizeof(AnswerHead)));
  return true;
}

void Receiving::endBlock(uint64_t sum) {
  ReceiveRow& row = receive_->rows[position_++];
  counters_.blocksReceived++;
  const bool isRight = bindIdentity(sum_, row.identity, row.length) == sum;
  if (!isRight) counters_.corrupt++;
  row.status = isRight ? kDone : kCorrupt;
}

}  // namespace refill::peer
