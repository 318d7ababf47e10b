// Drives transports between peers without Node, for the sanitizers: a program of its own, with -DREFILL_TEST_PEER_MAIN.
// Prints one line of TAP a check.
#ifdef REFILL_TEST_PEER_MAIN
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "arena.h"
#include "clock.h"
#include "guard.h"
#include "peer_receiver.h"
#include "peer_sender.h"

using namespace refill;
using namespace refill::peer;

namespace {

int checks = 0, failures = 0;

void check(bool holds, const std::string& what) {
  printf("%sok %d - %s\n", holds ? "" : "not ", ++checks, what.c_str());
  failures += !holds;
}

constexpr uint64_t kArenaBytes = 16u << 20;

bool within(const std::function<bool()>& holds, int ms = 20'000) {
  for (int i = 0; i < ms && !holds(); i++) usleep(1000);
  return holds();
}

struct Node {
  std::shared_ptr<Counters> counters = std::make_shared<Counters>();
  std::shared_ptr<Sender> sender;
  std::shared_ptr<Receiver> receiver;
  BufferRef arena;
  std::string address;

  explicit Node(uint32_t connectionsMax = 256) {
    Arena made;
    check(createArena(kArenaBytes, made) == 0, "an arena");
    arena = made.buffer;
    sender = std::make_shared<Sender>(counters, connectionsMax);
    receiver = std::make_shared<Receiver>(counters, SocketOptions{}, 4);
    uint16_t port = 0;
    check(sender->start("127.0.0.1", port, {}) == 0 && receiver->start() == 0, "a transport starts");
    address = "127.0.0.1:" + std::to_string(port);
  }
  void stop() {
    std::atomic<int> ended{0};
    sender->stop([&] { ended++; });
    receiver->stop([&] { ended++; });
    check(within([&] { return ended == 2; }), "both threads end");
  }
};

OfferRow offerRow(uint32_t tag, uint64_t offset, uint32_t length) {
  OfferRow row = {};
  for (uint32_t i = 0; i < 12; i++) row.identity[i] = tag * 31 + i;
  split(offset, row.bufferOffset);
  row.length = length;
  return row;
}

struct Call {
  ReceiveRef receive = std::make_shared<Receive>();
  std::shared_ptr<std::atomic<bool>> settled = std::make_shared<std::atomic<bool>>(false);

  Call(Node& to, const std::string& address, const uint8_t* ticket, const std::vector<OfferRow>& rows, int64_t ms) {
    receive->address = address;
    memcpy(receive->ticket, ticket, kTicketBytes);
    for (uint32_t i = 0; i < rows.size(); i++) {
      ReceiveRow row = {};
      memcpy(row.identity, rows[i].identity, sizeof row.identity);
      row.index = i;
      row.length = rows[i].length;
      receive->rows.push_back(row);
      receive->targets.push_back(to.arena->base + join(rows[i].bufferOffset));
    }
    receive->memory.push_back(to.arena);
    receive->deadlineMicros = nowMicros() + ms * 1000;
    receive->settled = [flag = settled] { *flag = true; };
    to.receiver->receive(receive);
  }
  bool wait() { return within([&] { return settled->load(); }); }
  bool all(uint32_t status) const {
    for (const ReceiveRow& row : receive->rows)
      if (row.status != status) return false;
    return true;
  }
};

struct Offering {
  OfferRef offer = std::make_shared<Offer>();
  std::shared_ptr<std::atomic<int>> released = std::make_shared<std::atomic<int>>(0);
  bool isTaken = false;

  Offering(Node& from, uint32_t id, const std::vector<OfferRow>& rows, int64_t ms) {
    offer->rows = rows;
    offer->sums.resize(rows.size());
    offer->isSummed.resize(rows.size());
    offer->memory = from.arena;
    offer->untilMicros = nowMicros() + ms * 1000;
    offer->released = [count = released] { (*count)++; };
    isTaken = from.sender->offer(id, offer);
  }
};

std::vector<OfferRow> someRows() {
  std::vector<OfferRow> rows;
  uint64_t at = 0;
  for (const uint32_t length : {1u, 100u, 4096u, 65536u, 1u << 20, 3u << 20, 70001u}) {
    rows.push_back(offerRow(uint32_t(rows.size()), at, length));
    at += length + 7;
  }
  return rows;
}

void checkTransfers(Node& a, Node& b) {
  const auto rows = someRows();
  for (uint64_t i = 0; i < kArenaBytes; i++) a.arena->base[i] = uint8_t(i * 7 + (i >> 9));
  Offering offering(a, 1, rows, 20'000);
  check(offering.isTaken, "an offer");
  Call first(b, a.address, offering.offer->ticket, rows, 10'000);
  check(first.wait() && first.all(kDone), "blocks arrive");
  bool equal = true;
  for (const OfferRow& row : rows)
    equal &= memcmp(a.arena->base + join(row.bufferOffset), b.arena->base + join(row.bufferOffset), row.length) == 0;
  check(equal, "and are the same");

  // Several at once, from several threads, while an offer ends beside them.
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (uint32_t t = 0; t < 4; t++)
    threads.emplace_back([&, t] {
      for (uint32_t turn = 0; turn < 10; turn++) {
        Offering own(a, 100 + t * 100 + turn, rows, 20'000);
        // The same memory would be written by several at once.
        std::vector<OfferRow> one = {rows[t + 1]};
        Call call(b, a.address, own.offer->ticket, one, 10'000);
        call.wait();
        a.sender->end(100 + t * 100 + turn);
        // Index 0 of the offer has another length: refused, each time.
        right += call.all(kRefusedBlock) && within([&] { return own.released->load() == 1; });
      }
    });
  for (std::thread& thread : threads) thread.join();
  check(right == 40, "many calls and offers from several threads");

  auto wrong = rows;
  wrong[3].identity[11]++;
  Call other(b, a.address, offering.offer->ticket, wrong, 10'000);
  check(other.wait() && other.receive->rows[3].status == kCorrupt && other.receive->rows[4].status == kDone,
        "another identity is corrupt");
  uint8_t forged[kTicketBytes] = {1};
  Call refused(b, a.address, forged, rows, 10'000);
  check(refused.wait() && refused.all(kRefusedBlock), "a forged ticket is refused");
  Call nowhere(b, "127.0.0.1:1", forged, rows, 10'000), nonsense(b, "nonsense", forged, rows, 10'000);
  check(nowhere.wait() && nowhere.all(kFailed) && nonsense.wait() && nonsense.all(kFailed), "nobody there");
  a.sender->end(1);
  check(within([&] { return offering.released->load() == 1; }), "an offer is released once");
  Offering brief(a, 2, rows, 20);
  check(within([&] { return brief.released->load() == 1; }), "and by itself at its end");
}

/** What a stranger sends; whether the connection was closed within the time. */
bool sends(const std::string& address, const std::string& bytes, int ms) {
  int socket = -1;
  if (beginConnect(address, {}, socket) != 0) return false;
  within([&] { return send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0; }, 1000);
  char answer[4096];
  const bool closed = within(
      [&] {
        const ssize_t got = recv(socket, answer, sizeof answer, MSG_DONTWAIT);
        return got == 0 || (got < 0 && errno != EAGAIN);
      },
      ms);
  close(socket);
  return closed;
}

void checkAbuse(Node& a) {
  unsigned seed = 1;
  bool closed = true;
  for (int i = 0; i < 50; i++) {
    std::string bytes(48 + size_t(i), '\0');
    for (char& byte : bytes) byte = char(rand_r(&seed));
    closed &= sends(a.address, bytes, 5000);
  }
  check(closed, "noise is cut off");
  RequestHead head = {kRequestMagic, kVersion, 0, 1, kBlocksMax + 1, {}};
  const std::string many(reinterpret_cast<const char*>(&head), sizeof head);
  check(sends(a.address, many, 5000), "too many blocks are cut off");
  check(sends(a.address, many.substr(0, 20), 5000), "half a request is cut off");
  check(sends(a.address, "", 5000), "a silent stranger is cut off");
}

/** A reader that takes nothing: the memory is released soon after the ticket's end, and the connection is cut. */
void checkSlowReader(Node& a) {
  const std::vector<OfferRow> rows = {offerRow(0, 0, uint32_t(kArenaBytes))};
  Offering offering(a, 3, rows, 100);
  struct {
    RequestHead head;
    RequestEntry entries[2];
  } request = {{kRequestMagic, kVersion, 0, 1, 2, {}}, {{0, uint32_t(kArenaBytes)}, {0, uint32_t(kArenaBytes)}}};
  memcpy(request.head.ticket, offering.offer->ticket, kTicketBytes);
  int socket = -1;
  check(beginConnect(a.address, {64u << 10, ""}, socket) == 0, "a reader connects");
  within([&] { return send(socket, &request, sizeof request, MSG_NOSIGNAL) == ssize_t(sizeof request); }, 1000);
  check(within([&] { return offering.released->load() == 1; }), "a slow reader does not hold the memory");
  close(socket);
}

}  // namespace

int main() {
  signal(SIGPIPE, SIG_IGN);
  installGuard();
  {
    Node a, b;
    checkTransfers(a, b);
    checkAbuse(a);
    checkSlowReader(a);
    // What is under way when it stops.
    Offering left(a, 4, someRows(), 60'000);
    Call waiting(b, a.address, left.offer->ticket, someRows(), 10'000);
    a.stop();
    b.stop();
    check(waiting.settled->load() && left.released->load() == 1, "stopping settles and releases everything");
    check(!Offering(a, 5, someRows(), 1000).isTaken, "nothing is offered afterwards");
  }
  usleep(200'000);
  printf("1..%d\n", checks);
  return failures == 0 ? 0 : 1;
}
#endif
