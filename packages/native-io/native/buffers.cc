#include "buffers.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mutex>
#include <unordered_map>

#include "files.h"

namespace refill {
namespace {

struct Table {
  std::mutex mutex;
  std::unordered_map<uint32_t, BufferRef> byId;
  uint64_t owners[kBufferSlots] = {};
  uint32_t nextId = 1;
  uint64_t nextUid = 1;
};

Table& table() {
  static Table* const instance = new Table;
  return *instance;
}

int32_t takeSlots(Table& t, uint32_t wanted) {
  for (uint32_t at = 0, run = 0; at < kBufferSlots; at++) {
    run = t.owners[at] == 0 ? run + 1 : 0;
    if (run == wanted) return int32_t(at + 1 - wanted);
  }
  return -1;
}

}  // namespace

Buffer::~Buffer() {
  if (base != nullptr) munmap(base, bytes);
  if (fd >= 0) close(fd);
}

uint32_t buffers::add(BufferRef buffer) {
  Table& t = table();
  std::lock_guard lock(t.mutex);
  buffer->uid = t.nextUid++;
  buffer->slot = takeSlots(t, buffer->panes());
  if (buffer->slot >= 0)
    for (uint32_t pane = 0; pane < buffer->panes(); pane++) t.owners[buffer->slot + pane] = buffer->uid;
  const uint32_t id = t.nextId++;
  t.byId.emplace(id, std::move(buffer));
  return id;
}

BufferRef buffers::find(uint32_t id) {
  Table& t = table();
  std::lock_guard lock(t.mutex);
  const auto found = t.byId.find(id);
  return found == t.byId.end() ? nullptr : found->second;
}

bool buffers::remove(uint32_t id) {
  Table& t = table();
  BufferRef buffer;
  {
    std::lock_guard lock(t.mutex);
    const auto found = t.byId.find(id);
    if (found == t.byId.end()) return false;
    buffer = std::move(found->second);
    t.byId.erase(found);
    if (buffer->slot >= 0)
      for (uint32_t pane = 0; pane < buffer->panes(); pane++) t.owners[buffer->slot + pane] = 0;
  }
  files::noteDeparture();
  return true;
}

uint64_t buffers::ownerOf(uint32_t slot) {
  Table& t = table();
  std::lock_guard lock(t.mutex);
  return t.owners[slot];
}

uint32_t buffers::count() {
  Table& t = table();
  std::lock_guard lock(t.mutex);
  return uint32_t(t.byId.size());
}

uint8_t* buffers::mapAligned(int fd, uint64_t bytes, int protection) {
  // Never the file right into a reservation: a mapping that fails at a fixed address leaves a hole there, which another
  // thread's memory may fill before the reservation is given back, and is then unmapped with it. hugetlb files, whose
  // mapping fails wherever there are no such pages, come aligned.
  void* const placed = mmap(nullptr, bytes, protection, MAP_SHARED, fd, 0);
  if (placed == MAP_FAILED) return nullptr;
  const auto isAligned = [](void* at) { return reinterpret_cast<uintptr_t>(at) % kHugePageBytes == 0; };
  if (isAligned(placed)) return static_cast<uint8_t*>(placed);
  const uint64_t inPages = roundUp(bytes, kPageBytes), span = inPages + kHugePageBytes;
  void* const reserved = mmap(nullptr, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  void* moved = MAP_FAILED;
  if (reserved != MAP_FAILED) {
    const auto from = reinterpret_cast<uintptr_t>(reserved);
    const uintptr_t aligned = roundUp(from, kHugePageBytes), end = aligned + inPages;
    moved = mremap(placed, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, reinterpret_cast<void*>(aligned));
    // Whether or not it came there, the middle is no longer ours to give back.
    if (aligned > from) munmap(reserved, aligned - from);
    if (from + span > end) munmap(reinterpret_cast<void*>(end), from + span - end);
  }
  if (moved != MAP_FAILED) return static_cast<uint8_t*>(moved);
  const int error = errno;
  munmap(placed, bytes);
  errno = error;
  return nullptr;
}

}  // namespace refill
