// Transports between peers.
#include <errno.h>

#include <unordered_map>

#include "clock.h"
#include "instance.h"
#include "jobs.h"
#include "peer_receiver.h"
#include "peer_sender.h"

namespace refill {
namespace {

/** One transport. Used by the thread of the environment that opened it only. */
struct Transport {
  InstanceRef instance;
  std::shared_ptr<peer::Counters> counters = std::make_shared<peer::Counters>();
  std::shared_ptr<peer::Sender> sender;
  std::shared_ptr<peer::Receiver> receiver;
  /** Until their statuses are taken. */
  std::unordered_map<uint32_t, peer::ReceiveRef> receives;
};

using Transports = std::unordered_map<uint32_t, Transport>;

/** The transports of this environment. Those that are open when it ends are stopped. */
Transports& transportsOf(napi_env env) {
  static std::mutex mutex;
  static auto& all = *new std::unordered_map<napi_env, Transports>;
  std::lock_guard lock(mutex);
  const auto [found, isNew] = all.try_emplace(env);
  if (isNew) {
    napi_add_env_cleanup_hook(
        env,
        [](void* data) {
          std::lock_guard lock(mutex);
          for (auto& [id, transport] : all[static_cast<napi_env>(data)]) {
            transport.sender->stop({});
            transport.receiver->stop({});
          }
          all.erase(static_cast<napi_env>(data));
        },
        env);
  }
  return found->second;
}

Transport* find(napi_env env, uint32_t id) {
  Transports& transports = transportsOf(env);
  const auto found = transports.find(id);
  return found == transports.end() ? nullptr : &found->second;
}

std::function<void()> settler(napi_env env, uint32_t slot) {
  return [environment = environmentOf(env), slot] { settleBatch(*environment, slot, 0); };
}

/** openPeer(instance, host, port, bufferBytes, congestion, connectionsMax, connectionsPerPeer): [id, port] or [-errno]. */
napi_value openPeer(napi_env env, napi_callback_info info) {
  static std::atomic<uint32_t> nextId{1};
  const js::Arguments in(env, info);
  Transport transport;
  transport.instance = instances::find(in.id(0));
  if (!transport.instance) return js::numbers(env, {-ESHUTDOWN});
  const peer::SocketOptions options{in.id(3), in.text(4)};
  uint16_t port = uint16_t(in.id(2));
  transport.sender = std::make_shared<peer::Sender>(transport.counters, in.id(5));
  transport.receiver = std::make_shared<peer::Receiver>(transport.counters, options, in.id(6));
  int error = transport.sender->start(in.text(1), port, options);
  if (error != 0) return js::numbers(env, {double(-error)});
  error = transport.receiver->start();
  if (error != 0) {
    transport.sender->stop({});
    return js::numbers(env, {double(-error)});
  }
  const uint32_t id = nextId++;
  transportsOf(env).emplace(id, std::move(transport));
  return js::numbers(env, {double(id), double(port)});
}

/** Two slots are settled when its threads are done. */
napi_value stopPeer(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  Transport* transport = find(env, in.id(0));
  if (transport == nullptr) return js::undefined(env);
  transport->sender->stop(settler(env, in.id(1)));
  transport->receiver->stop(settler(env, in.id(2)));
  return js::undefined(env);
}

napi_value closePeer(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  transportsOf(env).erase(in.id(0));
  return js::undefined(env);
}

napi_value peerCongestion(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  const Transport* transport = find(env, in.id(0));
  return js::text(env, transport == nullptr ? "" : transport->sender->congestion());
}

/** peerOffer(id, slot, rows, count, lifeMicros, ticket): an errno. The slot is settled when the memory is released. */
napi_value peerOffer(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  Transport* transport = find(env, in.id(0));
  const uint32_t slot = in.id(1), count = in.id(3);
  size_t bytes = 0, ticketBytes = 0;
  const auto* rows = reinterpret_cast<const peer::OfferRow*>(in.memory(2, bytes));
  uint8_t* ticket = in.memory(5, ticketBytes);
  if (transport == nullptr) return js::number(env, ESHUTDOWN);
  const BufferRef& arena = transport->instance->arena.buffer;
  if (rows == nullptr || bytes / sizeof *rows < count || ticketBytes != peer::kTicketBytes || !arena)
    return js::number(env, EINVAL);
  if (!peer::rowsFit(rows, count, *arena)) return js::number(env, ERANGE);
  auto offer = std::make_shared<peer::Offer>();
  offer->rows.assign(rows, rows + count);
  offer->sums.resize(count);
  offer->isSummed.resize(count);
  offer->memory = arena;
  offer->untilMicros = nowMicros() + int64_t(in.number(4));
  offer->released = settler(env, slot);
  if (!transport->sender->offer(slot, offer)) return js::number(env, ENOBUFS);
  memcpy(ticket, offer->ticket, peer::kTicketBytes);
  return js::number(env, 0);
}

napi_value peerEnd(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  if (Transport* transport = find(env, in.id(0))) transport->sender->end(in.id(1));
  return js::undefined(env);
}

/** The memory of each row: 0 or an errno. */
int findTargets(const Transport& transport, peer::Receive& receive) {
  uint32_t lastId = 0;
  BufferRef buffer;
  for (const peer::ReceiveRow& row : receive.rows) {
    if (!buffer || row.buffer != lastId) {
      lastId = row.buffer;
      buffer = lastId == 0 ? transport.instance->arena.buffer : buffers::find(lastId);
      if (!buffer) return ERANGE;
      receive.memory.push_back(buffer);
    }
    const uint64_t offset = join(row.bufferOffset);
    if (row.length == 0 || row.length > peer::kBlockBytesMax) return ERANGE;
    if (offset > buffer->bytes || row.length > buffer->bytes - offset) return ERANGE;
    receive.targets.push_back(buffer->base + offset);
  }
  return 0;
}

/** peerReceive(id, slot, address, ticket, rows, count, deadlineMicros): an errno. */
napi_value peerReceive(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  Transport* transport = find(env, in.id(0));
  const uint32_t slot = in.id(1), count = in.id(5);
  size_t bytes = 0, ticketBytes = 0;
  const uint8_t* ticket = in.memory(3, ticketBytes);
  const auto* rows = reinterpret_cast<const peer::ReceiveRow*>(in.memory(4, bytes));
  if (transport == nullptr) return js::number(env, ESHUTDOWN);
  if (rows == nullptr || bytes / sizeof *rows < count || ticketBytes != peer::kTicketBytes)
    return js::number(env, EINVAL);
  auto receive = std::make_shared<peer::Receive>();
  receive->address = in.text(2);
  memcpy(receive->ticket, ticket, peer::kTicketBytes);
  receive->rows.assign(rows, rows + count);
  for (peer::ReceiveRow& row : receive->rows) row.status = peer::kPendingBlock;
  if (const int error = findTargets(*transport, *receive)) return js::number(env, error);
  receive->deadlineMicros = nowMicros() + int64_t(in.number(6));
  receive->settled = settler(env, slot);
  transport->receives.emplace(slot, receive);
  transport->receiver->receive(std::move(receive));
  return js::number(env, 0);
}

/** Copies the statuses of a settled receive into its rows. */
napi_value peerTake(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  Transport* transport = find(env, in.id(0));
  if (transport == nullptr) return js::undefined(env);
  const auto found = transport->receives.find(in.id(1));
  size_t bytes = 0;
  auto* rows = reinterpret_cast<peer::ReceiveRow*>(in.memory(2, bytes));
  if (found == transport->receives.end()) return js::undefined(env);
  const auto& from = found->second->rows;
  for (size_t i = 0; i < from.size() && (i + 1) * sizeof *rows <= bytes; i++) rows[i].status = from[i].status;
  transport->receives.erase(found);
  return js::undefined(env);
}

napi_value peerCounters(napi_env env, napi_callback_info info) {
  const js::Arguments in(env, info);
  const Transport* transport = find(env, in.id(0));
  size_t bytes = 0;
  auto* out = reinterpret_cast<double*>(in.memory(1, bytes));
  if (transport == nullptr || bytes < 8 * sizeof(double)) return js::undefined(env);
  const peer::Counters& now = *transport->counters;
  out[0] = double(now.bytesSent);
  out[1] = double(now.bytesReceived);
  out[2] = double(now.blocksSent);
  out[3] = double(now.blocksReceived);
  out[4] = double(now.offers);
  out[5] = double(now.refused);
  out[6] = double(now.corrupt);
  out[7] = double(now.timeouts);
  return js::undefined(env);
}

}  // namespace

void exportPeers(napi_env env, napi_value exports) {
  exportFunction(env, exports, "openPeer", openPeer);
  exportFunction(env, exports, "stopPeer", stopPeer);
  exportFunction(env, exports, "closePeer", closePeer);
  exportFunction(env, exports, "peerCongestion", peerCongestion);
  exportFunction(env, exports, "peerOffer", peerOffer);
  exportFunction(env, exports, "peerEnd", peerEnd);
  exportFunction(env, exports, "peerReceive", peerReceive);
  exportFunction(env, exports, "peerTake", peerTake);
  exportFunction(env, exports, "peerCounters", peerCounters);
}

}  // namespace refill
