// One `receive` on its way: what is expected, where it goes, what became of it. Made on the caller's thread, then
// used by the receiver's until `settled` is called.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "buffers.h"
#include "peer_wire.h"

namespace refill::peer {

struct Receive {
  std::string address;
  uint8_t ticket[kTicketBytes];
  std::vector<ReceiveRow> rows;
  /** Where each block goes, and what keeps that memory mapped. */
  std::vector<uint8_t*> targets;
  std::vector<BufferRef> memory;
  int64_t deadlineMicros = 0;
  std::function<void()> settled;
  /** Put back to the queue once, when a connection out of the pool turned out to be dead. */
  bool isRetried = false;

  /** Everything that is pending becomes this. */
  void giveUp(uint32_t status) {
    for (ReceiveRow& row : rows)
      if (row.status == kPendingBlock) row.status = status;
  }
};

using ReceiveRef = std::shared_ptr<Receive>;

}  // namespace refill::peer
