#include "files.h"

#include <unistd.h>

#include <atomic>
#include <mutex>
#include <vector>

namespace refill {
namespace {

struct Slot {
  FileRef file;
  uint32_t generation = 0;
};

struct Table {
  std::mutex mutex;
  std::vector<Slot> slots;
  std::vector<uint32_t> spare;
  uint64_t nextUid = 1;
  uint32_t open = 0;
};

// Never destroyed: detached threads may still use it while the process exits.
Table& table() {
  static Table* const instance = new Table;
  return *instance;
}

std::atomic<uint64_t> gone{0};

void closeNow(int fd) { close(fd); }

}  // namespace

void (*files::closeLater)(int fd) = closeNow;

OpenFile::~OpenFile() {
  if (fd >= 0) files::closeLater(fd);
}

uint32_t files::add(FileRef file) {
  Table& t = table();
  std::lock_guard lock(t.mutex);
  uint32_t at;
  if (!t.spare.empty()) {
    at = t.spare.back();
    t.spare.pop_back();
  } else {
    if (t.slots.size() == kFileSlots) return 0;
    at = uint32_t(t.slots.size());
    t.slots.emplace_back();
  }
  Slot& slot = t.slots[at];
  slot.generation = slot.generation % 0x7ffe + 1;
  file->slot = at;
  file->uid = t.nextUid++;
  slot.file = std::move(file);
  t.open++;
  return slot.generation << 16 | at;
}

FileRef files::find(uint32_t id) {
  Table& t = table();
  std::lock_guard lock(t.mutex);
  const uint32_t at = id & 0xffff;
  if (at >= t.slots.size() || t.slots[at].generation != id >> 16) return nullptr;
  return t.slots[at].file;
}

bool files::remove(uint32_t id) {
  Table& t = table();
  FileRef file;
  {
    std::lock_guard lock(t.mutex);
    const uint32_t at = id & 0xffff;
    if (at >= t.slots.size() || t.slots[at].generation != id >> 16 || !t.slots[at].file) return false;
    file = std::move(t.slots[at].file);
    t.slots[at].file = nullptr;
    t.spare.push_back(at);
    t.open--;
  }
  noteDeparture();
  return true;
}

uint64_t files::ownerOf(uint32_t slot) {
  Table& t = table();
  std::lock_guard lock(t.mutex);
  if (slot >= t.slots.size() || !t.slots[slot].file) return 0;
  return t.slots[slot].file->uid;
}

uint64_t files::departures() { return gone.load(std::memory_order_acquire); }
void files::noteDeparture() { gone.fetch_add(1, std::memory_order_acq_rel); }

uint32_t files::openCount() {
  Table& t = table();
  std::lock_guard lock(t.mutex);
  return t.open;
}

}  // namespace refill
