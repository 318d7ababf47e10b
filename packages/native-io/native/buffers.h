// Mapped memory of the process, by id: arenas and regions. Unmapped when the last operation that uses it is done.
#pragma once
#include <cstdint>
#include <memory>

#include "batch.h"

namespace refill {

struct Buffer {
  uint8_t* base = nullptr;
  uint64_t bytes = 0;
  /** The shared-memory file behind it, or -1. */
  int fd = -1;
  /** First index in the rings' tables of registered buffers, one a pane; -1 when the table was full. */
  int32_t slot = -1;
  uint64_t uid = 0;

  ~Buffer();
  uint32_t panes() const { return uint32_t((bytes + kPaneBytes - 1) / kPaneBytes); }
};

using BufferRef = std::shared_ptr<Buffer>;

/** Entries in each ring's table of registered buffers. */
constexpr uint32_t kBufferSlots = 1024;

namespace buffers {
/** Gives the buffer an id (from 1) and slots. */
uint32_t add(BufferRef buffer);
BufferRef find(uint32_t id);
bool remove(uint32_t id);
uint64_t ownerOf(uint32_t slot);
/** Maps `bytes` of a file at an address aligned to 2 MiB. Returns nullptr and sets errno on failure. */
uint8_t* mapAligned(int fd, uint64_t bytes, int protection);
uint32_t count();
}  // namespace buffers

}  // namespace refill
