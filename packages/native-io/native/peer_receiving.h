// One connection of the receiver: sends a request, takes the answers straight into their memory, verifies them.
#pragma once
#include <utility>

#include "peer_counters.h"
#include "peer_receive.h"

namespace refill::peer {

class Receiving {
 public:
  enum class Next {
    readable,
    writable,
    more,
    /** Everything of the `receive` is known; the connection is good for another. */
    done,
    /** To be cut. What is pending has failed. */
    cut,
  };

  Receiving(int socket, Counters& counters) : socket_(socket), counters_(counters) {}
  ~Receiving();
  Receiving(const Receiving&) = delete;

  int socket() const { return socket_; }
  const ReceiveRef& receive() const { return receive_; }
  void begin(ReceiveRef receive);
  ReceiveRef end() { return std::exchange(receive_, nullptr); }
  /** Moves on as far as the socket allows, within a bound. */
  Next go();
  /** Not one byte came since `begin`. */
  bool isUnheard() const { return isUnheard_; }

  /** What the loop notes of it. */
  uint32_t events = 0;
  bool isClosed = false;
  bool isUsed = false;
  int64_t idleSinceMicros = 0;
  void* peer = nullptr;

 private:
  Next sendRequest();
  Next take();
  bool takePayload(uint32_t bytes);
  /** False when it is not an answer to what was asked. */
  bool parseTail();
  bool beginBlock(const AnswerHead& head);
  void endBlock(uint64_t sum);
  bool isLast() const { return position_ + 1 == receive_->rows.size(); }

  int socket_;
  Counters& counters_;
  ReceiveRef receive_;
  uint32_t requests_ = 0;
  bool isConnected_ = false;
  bool isUnheard_ = true;
  std::vector<uint8_t> request_;
  size_t requestSent_ = 0;

  /** The block that is received, and its checksum so far. */
  uint32_t position_ = 0;
  uint32_t taken_ = 0;
  bool inBlock_ = false;
  uint64_t sum_ = 0;
  /** What follows a payload: its checksum and the next head; a head alone at the beginning and after a refusal. */
  uint8_t tail_[kChecksumBytes + sizeof(AnswerHead)];
  uint32_t tailHave_ = 0;
  uint32_t tailWant_ = 0;
};

}  // namespace refill::peer
