#include "instance.h"

#include <unordered_map>

#include "files.h"

namespace refill {

namespace {

struct Table {
  std::mutex mutex;
  std::unordered_map<uint32_t, InstanceRef> byId;
  uint32_t nextId = 1;
};

Table& table() {
  static Table* const instance = new Table;
  return *instance;
}

}  // namespace

uint32_t instances::add(InstanceRef instance) {
  std::lock_guard lock(table().mutex);
  const uint32_t id = table().nextId++;
  table().byId.emplace(id, std::move(instance));
  return id;
}

InstanceRef instances::find(uint32_t id) {
  std::lock_guard lock(table().mutex);
  const auto found = table().byId.find(id);
  return found == table().byId.end() ? nullptr : found->second;
}

InstanceRef instances::remove(uint32_t id) {
  std::lock_guard lock(table().mutex);
  const auto found = table().byId.find(id);
  if (found == table().byId.end()) return nullptr;
  InstanceRef instance = std::move(found->second);
  table().byId.erase(found);
  return instance;
}

Instance::~Instance() {
  if (arenaId != 0) buffers::remove(arenaId);
  if (fdServer) fdServer->stop();
  if (rootFd >= 0) files::closeLater(rootFd);
  if (readPool) readPool->stop();
  if (writePool) writePool->stop();
}

}  // namespace refill
