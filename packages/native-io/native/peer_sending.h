// One connection of the sender: reads a request, answers it straight out of the arena, reads the next.
#pragma once
#include <sys/uio.h>

#include "peer_counters.h"
#include "peer_offers.h"

namespace refill::peer {

class Sending {
 public:
  enum class Next {
    /** Waits for the socket to be readable, or writable. */
    readable,
    writable,
    /** Has more to do at once, after others had their turn. */
    more,
    /** To be cut: gone, or not one of us. */
    cut,
  };

  Sending(int socket, Offers& offers, Counters& counters, int64_t nowMicros)
      : socket_(socket), offers_(offers), counters_(counters), sinceMicros_(nowMicros) {}
  ~Sending();
  Sending(const Sending&) = delete;

  int socket() const { return socket_; }
  /** Reads or writes what the socket takes, within a bound. */
  Next go(int64_t nowMicros);
  /** When it is cut if nothing comes of it by then; INT64_MAX for never. */
  int64_t dueMicros() const;
  /** Nothing asked for now. Idle connections that once showed a good ticket go last when there is no room. */
  bool isIdle() const { return !isAnswering_ && have_ == 0; }
  bool isKnown() const { return isKnown_; }
  int64_t sinceMicros() const { return sinceMicros_; }

  /** What the loop notes of it. */
  bool wantsWrite = false;
  bool isClosed = false;

 private:
  static constexpr uint32_t kHeadsMax = 64;
  static constexpr uint32_t kHeadBytes = kChecksumBytes + sizeof(AnswerHead);

  Next readRequest(int64_t nowMicros);
  void begin(int64_t nowMicros);
  Next answer(int64_t nowMicros);
  Next refuse();
  void plan();
  void planHead(uint32_t status, uint32_t length);
  uint64_t planSum(const uint8_t* from, uint32_t bytes);
  void append(const void* from, size_t bytes);
  void advance(size_t bytes);
  void finish();

  int socket_;
  Offers& offers_;
  Counters& counters_;

  // The request that is read or answered.
  RequestHead head_;
  std::vector<RequestEntry> entries_;
  size_t have_ = 0;
  bool isAnswering_ = false;
  bool isKnown_ = false;
  bool isLast_ = false;
  OfferRef offer_;
  uint32_t position_ = 0;
  /** The block that is being planned, bytes of it that are, and their checksum. */
  const OfferRow* row_ = nullptr;
  uint32_t planned_ = 0;
  uint64_t sum_ = 0;

  // What is handed to the kernel next: heads and pieces of payload, in order.
  std::vector<iovec> vectors_;
  size_t vectorAt_ = 0;
  uint32_t headsUsed_ = 0;
  uint8_t heads_[kHeadsMax * kHeadBytes];

  /** Since when it waits, and when a block last moved on. */
  int64_t sinceMicros_;
};

}  // namespace refill::peer
