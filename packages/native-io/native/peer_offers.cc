#include "peer_offers.h"

#include <sys/random.h>

#include <algorithm>

namespace refill::peer {

bool rowsFit(const OfferRow* rows, uint32_t count, const Buffer& memory) {
  for (uint32_t i = 0; i < count; i++) {
    const uint64_t offset = join(rows[i].bufferOffset);
    const uint32_t length = rows[i].length;
    if (length == 0 || length > kBlockBytesMax) return false;
    if (offset > memory.bytes || length > memory.bytes - offset) return false;
  }
  return true;
}

bool Offers::add(uint32_t id, const OfferRef& offer, bool& isNext) {
  if (getrandom(offer->ticket, kTicketBytes, 0) != ssize_t(kTicketBytes)) return false;
  std::lock_guard lock(mutex_);
  if (isClosed_ || byId_.size() >= kOffersMax) return false;
  byTicket_.emplace(offer->ticket, offer);
  byId_.emplace(id, offer);
  ids_.emplace(offer.get(), id);
  isNext = offer->untilMicros < nextMicros_;
  nextMicros_ = std::min(nextMicros_, offer->untilMicros);
  return true;
}

OfferRef Offers::borrow(const uint8_t* ticket, int64_t nowMicros) {
  std::lock_guard lock(mutex_);
  const auto found = byTicket_.find(ticket);
  if (found == byTicket_.end() || found->second->untilMicros <= nowMicros) return nullptr;
  found->second->borrows++;
  return found->second;
}

void Offers::giveBack(const OfferRef& offer) {
  std::vector<OfferRef> released;
  {
    std::lock_guard lock(mutex_);
    offer->borrows--;
    settleLocked(offer, released);
  }
  for (const OfferRef& one : released) one->released();
}

bool Offers::end(uint32_t id, int64_t nowMicros) {
  std::vector<OfferRef> released;
  bool isBorrowed = false;
  {
    std::lock_guard lock(mutex_);
    const auto found = byId_.find(id);
    if (found == byId_.end()) return false;
    const OfferRef offer = found->second;
    endLocked(offer, nowMicros, released);
    isBorrowed = offer->borrows > 0;
  }
  for (const OfferRef& one : released) one->released();
  return isBorrowed;
}

int64_t Offers::expire(int64_t nowMicros) {
  std::vector<OfferRef> released;
  int64_t next;
  {
    std::lock_guard lock(mutex_);
    if (nowMicros < nextMicros_) return nextMicros_;
    std::vector<OfferRef> over;
    next = INT64_MAX;
    for (const auto& [ticket, offer] : byTicket_) {
      if (offer->untilMicros <= nowMicros) over.push_back(offer);
      else next = std::min(next, offer->untilMicros);
    }
    nextMicros_ = next;
    for (const OfferRef& offer : over) endLocked(offer, nowMicros, released);
  }
  for (const OfferRef& one : released) one->released();
  return next;
}

void Offers::close(int64_t nowMicros) {
  std::vector<OfferRef> released;
  {
    std::lock_guard lock(mutex_);
    isClosed_ = true;
    std::vector<OfferRef> all;
    for (const auto& [id, offer] : byId_) all.push_back(offer);
    for (const OfferRef& offer : all) {
      offer->borrows = 0;
      endLocked(offer, nowMicros, released);
      settleLocked(offer, released);
    }
  }
  for (const OfferRef& one : released) one->released();
}

void Offers::endLocked(const OfferRef& offer, int64_t nowMicros, std::vector<OfferRef>& released) {
  if (offer->endedMicros != 0) return;
  offer->endedMicros = nowMicros;
  byTicket_.erase(offer->ticket);
  settleLocked(offer, released);
}

void Offers::settleLocked(const OfferRef& offer, std::vector<OfferRef>& released) {
  if (offer->endedMicros == 0 || offer->borrows > 0) return;
  const auto found = ids_.find(offer.get());
  if (found == ids_.end()) return;
  byId_.erase(found->second);
  ids_.erase(found);
  released.push_back(offer);
}

}  // namespace refill::peer
