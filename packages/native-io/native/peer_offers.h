// The ticket table: what may be read, by whom holds the ticket, until when. Any thread.
//
// An offer's memory is released once, when it has ended (told to, or its life is over) and no request borrows it.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "buffers.h"
#include "peer_wire.h"

namespace refill::peer {

struct Offer {
  uint8_t ticket[kTicketBytes];
  std::vector<OfferRow> rows;
  /** The arena: mapped as long as somebody may read it. */
  BufferRef memory;
  int64_t untilMicros = 0;
  std::function<void()> released;
  /** When it ended, 0 before. */
  std::atomic<int64_t> endedMicros{0};
  /** Checksums computed so far, by block; only the sender's thread uses them. */
  std::vector<uint64_t> sums;
  std::vector<bool> isSummed;

 private:
  friend class Offers;
  uint32_t borrows = 0;
};

using OfferRef = std::shared_ptr<Offer>;

/** Checks rows against the memory they are in: false when one leaves it. */
bool rowsFit(const OfferRow* rows, uint32_t count, const Buffer& memory);

class Offers {
 public:
  /** Draws a ticket for the offer. `isNext` tells whether it will end before all others. False when there are too many. */
  bool add(uint32_t id, const OfferRef& offer, bool& isNext);
  /** The offer of a ticket that is good now, borrowed until `giveBack`; nullptr when there is none. */
  OfferRef borrow(const uint8_t* ticket, int64_t nowMicros);
  void giveBack(const OfferRef& offer);
  /** Whether requests still borrow it. Not an error when it is gone. */
  bool end(uint32_t id, int64_t nowMicros);
  /** Ends what is over; answers when the next one will be. */
  int64_t expire(int64_t nowMicros);
  /** Ends and releases everything: nobody borrows any more. No `add` succeeds afterwards. */
  void close(int64_t nowMicros);

 private:
  struct TicketHash {
    size_t operator()(const uint8_t* ticket) const {
      uint64_t random;
      memcpy(&random, ticket, sizeof random);
      return size_t(random);
    }
  };
  struct TicketEqual {
    // The same time for every wrong ticket of a bucket.
    bool operator()(const uint8_t* a, const uint8_t* b) const {
      uint8_t differs = 0;
      for (uint32_t i = 0; i < kTicketBytes; i++) differs |= uint8_t(a[i] ^ b[i]);
      return differs == 0;
    }
  };

  void endLocked(const OfferRef& offer, int64_t nowMicros, std::vector<OfferRef>& released);
  void settleLocked(const OfferRef& offer, std::vector<OfferRef>& released);

  std::mutex mutex_;
  /** Not ended yet, by ticket. */
  std::unordered_map<const uint8_t*, OfferRef, TicketHash, TicketEqual> byTicket_;
  /** Not released yet, by number. */
  std::unordered_map<uint32_t, OfferRef> byId_;
  std::unordered_map<const Offer*, uint32_t> ids_;
  int64_t nextMicros_ = INT64_MAX;
  bool isClosed_ = false;
};

}  // namespace refill::peer
