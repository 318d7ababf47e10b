#include "peer_sending.h"

#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "peer_socket.h"

namespace refill::peer {
namespace {

/** Planned, summed and handed over together: what was just summed is still in the cache when the kernel copies it. */
constexpr uint32_t kPlanBytes = 256u << 10;
/** After this much others have their turn. */
constexpr uint32_t kTurnBytes = 4u << 20;
constexpr uint32_t kRequestsATurn = 8;
/** A stranger shows a request by then, and a request comes whole. */
constexpr int64_t kRequestMicros = 2'000'000;
/** Clients close idle connections before this. */
constexpr int64_t kIdleMicros = 60'000'000;
/** A reader that takes nothing for this long is gone. */
constexpr int64_t kStallMicros = 5'000'000;
/** What a ticket that ended may still take to finish a block: the memory is held no longer. */
constexpr int64_t kGraceMicros = 50'000;

}  // namespace

Sending::~Sending() {
  if (offer_) offers_.giveBack(offer_);
  cut(socket_);
}

Sending::Next Sending::go(int64_t nowMicros) {
  for (uint32_t requests = 0; requests < kRequestsATurn; requests++) {
    if (!isAnswering_) {
      const Next read = readRequest(nowMicros);
      if (read != Next::more) return read;
    }
    const Next answered = answer(nowMicros);
    if (answered != Next::readable) return answered;
  }
  return Next::more;
}

int64_t Sending::dueMicros() const {
  if (!isAnswering_) return sinceMicros_ + (have_ == 0 && isKnown_ ? kIdleMicros : kRequestMicros);
  const int64_t ended = offer_ ? offer_->endedMicros.load() : 0;
  const int64_t stalled = sinceMicros_ + kStallMicros;
  return ended == 0 ? stalled : std::min(stalled, ended + kGraceMicros);
}

Sending::Next Sending::refuse() {
  counters_.refused++;
  return Next::cut;
}

/** Answers `more` when a whole request is here. */
Sending::Next Sending::readRequest(int64_t nowMicros) {
  for (;;) {
    const size_t listBytes = have_ < sizeof head_ ? 0 : head_.count * sizeof(RequestEntry);
    uint8_t* to = have_ < sizeof head_ ? reinterpret_cast<uint8_t*>(&head_) + have_
                                       : reinterpret_cast<uint8_t*>(entries_.data()) + (have_ - sizeof head_);
    const size_t room = have_ < sizeof head_ ? sizeof head_ - have_ : sizeof head_ + listBytes - have_;
    const ssize_t got = recv(socket_, to, room, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Next::readable;
    if (got <= 0) return have_ == 0 ? Next::cut : refuse();
    if (have_ == 0) sinceMicros_ = nowMicros;
    const bool hadHead = have_ >= sizeof head_;
    have_ += size_t(got);
    if (!hadHead && have_ == sizeof head_) {
      if (head_.magic != kRequestMagic) return refuse();
      if (head_.version == kVersion) {
        if (head_.zero != 0 || head_.count == 0 || head_.count > kBlocksMax) return refuse();
        entries_.resize(head_.count);
        continue;
      }
      begin(nowMicros);
      return Next::more;
    }
    if (!hadHead || have_ < sizeof head_ + listBytes) continue;
    begin(nowMicros);
    return Next::more;
  }
}

/** A whole request is here. What cannot be answered is answered with one head. */
void Sending::begin(int64_t nowMicros) {
  const bool isOurs = head_.version == kVersion;
  isAnswering_ = true;
  isLast_ = !isOurs;
  sinceMicros_ = nowMicros;
  offer_ = isOurs ? offers_.borrow(head_.ticket, nowMicros) : nullptr;
  position_ = 0;
  row_ = nullptr;
  if (offer_) {
    isKnown_ = true;
  } else {
    counters_.refused++;
    position_ = kWholeRequest;
    planHead(isOurs ? kRefused : kVersionUnknown, 0);
  }
}

/** Answers `readable` when the request is answered. */
Sending::Next Sending::answer(int64_t nowMicros) {
  for (uint32_t moved = 0; moved < kTurnBytes;) {
    if (vectorAt_ == vectors_.size()) {
      vectors_.clear();
      vectorAt_ = 0;
      headsUsed_ = 0;
      if (offer_) plan();
      if (vectors_.empty()) {
        finish();
        return isLast_ ? Next::cut : Next::readable;
      }
    }
    msghdr message = {};
    message.msg_iov = &vectors_[vectorAt_];
    message.msg_iovlen = vectors_.size() - vectorAt_;
    const ssize_t sent = sendmsg(socket_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Next::writable;
    if (sent < 0) return Next::cut;
    advance(size_t(sent));
    moved += uint32_t(sent);
    sinceMicros_ = nowMicros;
  }
  return Next::more;
}

void Sending::finish() {
  if (offer_) offers_.giveBack(std::exchange(offer_, nullptr));
  isAnswering_ = false;
  have_ = 0;
}

/** The next stretch of answers: heads, and payload up to a bound, summed on the way. */
void Sending::plan() {
  uint32_t bytes = 0;
  while (bytes < kPlanBytes && headsUsed_ + 2 <= kHeadsMax) {
    if (row_ == nullptr) {
      if (position_ == head_.count) return;
      const RequestEntry& entry = entries_[position_];
      const bool isOffered = offer_->endedMicros == 0 && entry.index < offer_->rows.size() &&
                             offer_->rows[entry.index].length == entry.length;
      planHead(isOffered ? kSent : kRefused, isOffered ? entry.length : 0);
      if (!isOffered) {
        counters_.refused++;
        position_++;
        continue;
      }
      row_ = &offer_->rows[entry.index];
      planned_ = 0;
      sum_ = 0;
    }
    const uint32_t piece = std::min(row_->length - planned_, kPlanBytes - bytes);
    const uint8_t* from = offer_->memory->base + join(row_->bufferOffset) + planned_;
    append(from, piece);
    planned_ += piece;
    bytes += piece;
    counters_.bytesSent += piece;
    const uint64_t sum = planSum(from, piece);
    if (planned_ < row_->length) return;
    uint8_t* at = heads_ + headsUsed_++ * kHeadBytes;
    memcpy(at, &sum, kChecksumBytes);
    append(at, kChecksumBytes);
    row_ = nullptr;
    position_++;
    counters_.blocksSent++;
  }
}

/** Checksum of the block so far; whole, and bound to its identity, once it is all planned. */
uint64_t Sending::planSum(const uint8_t* from, uint32_t bytes) {
  const size_t index = size_t(row_ - offer_->rows.data());
  if (offer_->isSummed[index]) return offer_->sums[index];
  sum_ = crc64(sum_, from, bytes);
  if (planned_ < row_->length) return 0;
  offer_->sums[index] = bindIdentity(sum_, row_->identity, row_->length);
  offer_->isSummed[index] = true;
  return offer_->sums[index];
}

void Sending::planHead(uint32_t status, uint32_t length) {
  const AnswerHead head = {kAnswerMagic, head_.request, position_, status, length, 0};
  uint8_t* at = heads_ + headsUsed_++ * kHeadBytes;
  memcpy(at, &head, sizeof head);
  append(at, sizeof head);
}

void Sending::append(const void* from, size_t bytes) {
  vectors_.push_back({const_cast<void*>(from), bytes});
}

void Sending::advance(size_t bytes) {
  while (bytes > 0) {
    iovec& vector = vectors_[vectorAt_];
    const size_t step = std::min(bytes, vector.iov_len);
    vector.iov_base = static_cast<uint8_t*>(vector.iov_base) + step;
    vector.iov_len -= step;
    bytes -= step;
    if (vector.iov_len == 0) vectorAt_++;
  }
}

}  // namespace refill::peer
