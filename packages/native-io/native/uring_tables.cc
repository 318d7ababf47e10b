// Files and buffers registered with the ring, so that the kernel looks each up once and not at every request.
#include <algorithm>

#include "uring.h"

namespace refill {
namespace {

constexpr uint32_t kRegisteredFiles = 4096;

}  // namespace

void UringEngine::registerTables() {
  io_uring_rsrc_register table = {};
  table.flags = IORING_RSRC_REGISTER_SPARSE;
  table.nr = kRegisteredFiles;
  fileTable_ = abi::registers(fd_, IORING_REGISTER_FILES2, &table, sizeof table) == 0;
  table.nr = kBufferSlots;
  bufferTable_ = abi::registers(fd_, IORING_REGISTER_BUFFERS2, &table, sizeof table) == 0;
  if (fileTable_) fileSlots_.assign(kRegisteredFiles, 0);
  if (bufferTable_) {
    bufferSlots_.assign(kBufferSlots, 0);
    bufferRefused_.assign(kBufferSlots, 0);
  }
}

bool UringEngine::taken() {
  if (queued() > 0) flush();
  return queued() == 0;
}

bool UringEngine::fixedFile(const OpenFile& file) {
  if (!fileTable_ || file.slot >= fileSlots_.size()) return false;
  if (fileSlots_[file.slot] == file.uid) return true;
  if (!taken()) return false;
  int fd = file.fd;
  io_uring_files_update update = {};
  update.offset = file.slot;
  update.fds = reinterpret_cast<uintptr_t>(&fd);
  if (abi::registers(fd_, IORING_REGISTER_FILES_UPDATE, &update, 1) != 1) return false;
  fileSlots_[file.slot] = file.uid;
  return true;
}

/** Index of the registered pane that holds all vectors, or -1. */
int UringEngine::fixedBuffer(const Buffer& buffer, const iovec* vectors, uint32_t count) {
  if (!bufferTable_ || buffer.slot < 0) return -1;
  const auto paneOf = [&](uint64_t offset) { return int64_t(offset / kPaneBytes); };
  int64_t pane = -1;
  for (uint32_t i = 0; i < count; i++) {
    const uint64_t from = uint64_t(static_cast<uint8_t*>(vectors[i].iov_base) - buffer.base);
    if (pane < 0) pane = paneOf(from);
    if (paneOf(from) != pane || paneOf(from + vectors[i].iov_len - 1) != pane) return -1;
  }
  const uint32_t slot = uint32_t(buffer.slot + pane);
  if (bufferSlots_[slot] == buffer.uid) return int(slot);
  if (bufferRefused_[slot] == buffer.uid || !taken()) return -1;
  const uint64_t from = uint64_t(pane) * kPaneBytes;
  iovec whole = {buffer.base + from, std::min(kPaneBytes, buffer.bytes - from)};
  io_uring_rsrc_update2 update = {};
  update.offset = slot;
  update.data = reinterpret_cast<uintptr_t>(&whole);
  update.nr = 1;
  if (abi::registers(fd_, IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof update) != 1) {
    bufferRefused_[slot] = buffer.uid;
    return -1;
  }
  bufferSlots_[slot] = buffer.uid;
  return int(slot);
}

void UringEngine::letGo() {
  const uint64_t departures = files::departures();
  if (departures == departuresSeen_ || !taken()) return;
  departuresSeen_ = departures;
  for (uint32_t slot = 0; slot < fileSlots_.size(); slot++) {
    if (fileSlots_[slot] == 0 || files::ownerOf(slot) == fileSlots_[slot]) continue;
    int none = -1;
    io_uring_files_update update = {};
    update.offset = slot;
    update.fds = reinterpret_cast<uintptr_t>(&none);
    abi::registers(fd_, IORING_REGISTER_FILES_UPDATE, &update, 1);
    fileSlots_[slot] = 0;
  }
  for (uint32_t slot = 0; slot < bufferSlots_.size(); slot++) {
    if (bufferSlots_[slot] == 0 || buffers::ownerOf(slot) == bufferSlots_[slot]) continue;
    iovec none = {nullptr, 0};
    io_uring_rsrc_update2 update = {};
    update.offset = slot;
    update.data = reinterpret_cast<uintptr_t>(&none);
    update.nr = 1;
    abi::registers(fd_, IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof update);
    bufferSlots_[slot] = 0;
  }
}

}  // namespace refill
