// Drives the native layers without Node, for the sanitizers:
//   test_driver DIRECTORY
// Prints one line of TAP a check.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "calls.h"
#include "checksum.h"
#include "clock.h"
#include "engines.h"
#include "guard.h"
#include "paths.h"
#include "threads.h"
#include "uring.h"

using namespace refill;

namespace {

int checks = 0, failures = 0;

void check(bool holds, const std::string& what) {
  printf("%sok %d - %s\n", holds ? "" : "not ", ++checks, what.c_str());
  failures += !holds;
}

constexpr uint64_t kArenaBytes = 16u << 20;

IoOp op(uint32_t opcode, uint32_t flags, uint32_t file, uint64_t fileOffset, uint32_t buffer, uint64_t bufferOffset,
        uint32_t length) {
  IoOp out = {};
  out.opcode = opcode;
  out.flags = flags;
  out.file = file;
  out.buffer = buffer;
  split(fileOffset, out.fileOffset);
  split(bufferOffset, out.bufferOffset);
  out.length = length;
  out.result = kPending;
  return out;
}

void checkChecksums() {
  // Exactly sized allocations, so that a read past either end is seen.
  bool equal = true;
  for (size_t length = 0; length < 1600; length += length < 300 ? 1 : 37) {
    std::vector<uint8_t> bytes(length);
    for (size_t i = 0; i < length; i++) bytes[i] = uint8_t(i * 131 + length);
    const uint64_t expected = crc64By(CrcLevel::table, 0, bytes.data(), length);
    for (int level = 1; level <= int(crcLevelBest()); level++)
      equal &= crc64By(CrcLevel(level), 0, bytes.data(), length) == expected;
    const size_t cut = length / 3;
    equal &= crc64(crc64(0, bytes.data(), cut), bytes.data() + cut, length - cut) == expected;
  }
  check(equal, "checksums agree at every level and continue over a cut");
  check(crc64(0, "123456789", 9) == 0xae8b14860a799888, "the check value");
}

void checkPaths(int root) {
  std::string name;
  check(paths::check("a/../b") == EXDEV && paths::check("/a") == EXDEV && paths::check("") == EINVAL &&
            paths::check("a..b/c..") == 0,
        "paths that leave the root are refused");
  check(calls::mkdir(root, "d/e/") == 0 && calls::mkdir(root, "d/e") == 0, "directories are made with parents");
  const int parent = paths::openParent(root, "d/e//", name);
  check(parent >= 0 && name == "e", "the last name of a path");
  close(parent);
  const int walked = paths::openByWalk(root, "d//e", O_RDONLY | O_DIRECTORY, 0);
  check(walked >= 0, "the walk finds what openat2 finds");
  close(walked);
  std::string bytes;
  check(calls::writeFile(root, "d/f", "content") == 0 && calls::readFile(root, "d/f", 100, bytes) == 0 &&
            bytes == "content" && calls::readFile(root, "d/f", 3, bytes) == EFBIG,
        "small files");
  std::vector<std::string> names;
  check(calls::list(root, "d", names) == 0 && names == std::vector<std::string>{"e", "f"}, "listing");
  symlinkat("/etc/hostname", root, "link");
  check(paths::openBeneath(root, "link", O_RDONLY, 0) == -ELOOP, "a symbolic link is refused");
  check(paths::openByWalk(root, "link", O_RDONLY, 0) == -ELOOP, "a symbolic link is refused by the walk");
}

void run(Engine& engine, const InstanceRef& instance, std::vector<IoOp>& ops, int64_t deadlineMs = 10000) {
  const int64_t now = nowMicros();
  auto batch = std::make_shared<BatchRun>();
  batch->plan(instance, ops.data(), uint32_t(ops.size()), now);
  engine.begin(*instance, std::move(batch), 0, now + deadlineMs * 1000);
  while (engine.busy()) engine.turn(*instance, {4u << 20, 1u << 20}, [](uint32_t) {});
}

void checkEngine(const char* name, Engine& engine, const InstanceRef& instance, const std::string& path) {
  const std::string label = std::string(name) + ": ";
  uint8_t* arena = instance->arena.buffer->base;
  FileRef file;
  calls::OpenRequest request{path, true, true, true, true, 16 << 20, std::vector<uint8_t>(40, 3)};
  const bool created = calls::open(instance->rootFd, request, file) == 0;
  check(created, label + "a file is created");
  if (!created) return;
  const uint32_t id = files::add(file);
  file.reset();
  for (uint64_t i = 0; i < kArenaBytes / 2; i++) arena[i] = uint8_t(i * 7 + (i >> 9));

  const uint32_t lengths[] = {4096, 100, 65536, 3u << 20, 1, 8192, 200000};
  std::vector<IoOp> writes, reads;
  uint64_t at = 0;
  for (const uint32_t length : lengths) {
    writes.push_back(op(kWrite, kFlagChecksum | kFlagAdjacent, id, at, 0, at, length));
    at += roundUp(length, kPageBytes);
  }
  writes.push_back(op(kSync, 0, id, 0, 0, 0, 0));
  run(engine, instance, writes);
  bool whole = writes.back().result == 0;
  for (size_t i = 0; i < std::size(lengths); i++) whole &= writes[i].result == int32_t(lengths[i]);
  check(whole, label + "writes and their sync");
  for (size_t i = 0; i < std::size(lengths); i++) {
    IoOp read = op(kRead, kFlagVerify | kFlagAdjacent, id, join(writes[i].fileOffset), 0,
                   kArenaBytes / 2 + join(writes[i].bufferOffset), lengths[i]);
    memcpy(read.checksum, writes[i].checksum, sizeof read.checksum);
    reads.push_back(read);
  }
  reads[2].key[0] = 1;
  run(engine, instance, reads);
  whole = true;
  for (size_t i = 0; i < std::size(lengths); i++)
    whole &= reads[i].result == (i == 2 ? -EBADMSG : int32_t(lengths[i]));
  check(whole, label + "reads verify, and another key does not");

  std::vector<IoOp> many;
  for (uint32_t i = 0; i < 1024; i++) many.push_back(op(kRead, 0, id, i * 4096ull, 0, i * 8192ull, 4096));
  run(engine, instance, many);
  whole = true;
  for (const IoOp& one : many) whole &= one.result == 4096;
  check(whole, label + "more operations than the ring has entries");

  // A second batch begins while the first is under way; a damaged source of a verified copy is seen.
  std::vector<IoOp> copies;
  for (size_t i = 0; i < std::size(lengths); i++) {
    const uint64_t source = join(reads[i].bufferOffset);
    IoOp copy = op(kCopy, kFlagVerify, id, join(writes[i].fileOffset), 0, source + kArenaBytes / 4, lengths[i]);
    split(source, copy.sourceOffset);
    memcpy(copy.checksum, writes[i].checksum, sizeof copy.checksum);
    copies.push_back(copy);
  }
  arena[join(reads[3].bufferOffset) + 5] ^= 1;
  for (IoOp& one : many) one.result = kPending;
  const int64_t now = nowMicros();
  auto slow = std::make_shared<BatchRun>(), quick = std::make_shared<BatchRun>();
  slow->plan(instance, many.data(), uint32_t(many.size()), now);
  quick->plan(instance, copies.data(), uint32_t(copies.size()), now);
  std::vector<uint32_t> order;
  engine.begin(*instance, std::move(slow), 1, now + 10000000);
  engine.begin(*instance, std::move(quick), 2, now + 10000000);
  while (engine.busy()) engine.turn(*instance, {16u << 20, 1u << 20}, [&](uint32_t slot) { order.push_back(slot); });
  whole = order.size() == 2 && order[0] + order[1] == 3;
  for (const IoOp& one : many) whole &= one.result == 4096;
  for (size_t i = 0; i < std::size(lengths); i++)
    whole &= copies[i].result == (i == 3 ? -EBADMSG : int32_t(lengths[i]));
  check(whole && instance->readsRunning == 0, label + "two batches at a time, one of verified copies");

  std::vector<IoOp> wrong = {op(kRead, 0, 12345, 0, 0, 0, 1), op(kRead, 0, id, 0, 99, 0, 1),
                             op(kRead, 0, id, 0, 0, kArenaBytes, 1), op(kRead, 0, id, ~0ull & ~4095ull, 0, 0, 4096),
                             op(kWrite, 0, id, 0, 0, ~0ull & ~4095ull, 4096), op(0, 0, id, 0, 0, 0, 1),
                             op(kCopy, kFlagUnbound, 0, 0, 0, 0, 1u << 31), op(kRead, 0, id, 0, 0, 0, ~0u),
                             op(kRead, 0, id, 0, 0, 0, 0), op(kSync, 0, id, 0, 0, 0, 0)};
  run(engine, instance, wrong);
  bool refused = true;
  for (const IoOp& one : wrong) refused &= one.result < 0 && one.result != kPending;
  check(refused && wrong.back().result == -ECANCELED, label + "bad operations are refused, and the sync after them");

  // The deadline is over before the batch begins.
  run(engine, instance, reads, -1);
  check(reads[0].result == -ETIMEDOUT && instance->takeReleases().size() == std::size(lengths),
        label + "an expired batch releases what it never began");
  check(files::remove(id) && !files::remove(id) && files::find(id) == nullptr, label + "a file closes once");
  engine.sweep();
}

/** A pipe stands for a file whose reads hang: neither engine may wait, and the late answer must find its memory. */
void checkHang(const char* name, Engine& engine, const InstanceRef& instance) {
  const std::string label = std::string(name) + ": ";
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return check(false, label + "pipe");
  auto file = std::make_shared<OpenFile>();
  file->fd = ends[0];
  const uint32_t id = files::add(file);
  file.reset();
  std::vector<IoOp> ops = {op(kRead, 0, id, 0, 0, 4096, 4096)};
  {
    std::vector<IoOp> gone = ops;
    run(engine, instance, gone, 50);
    ops = gone;
  }
  const bool hung = ops[0].result == -ETIMEDOUT;
  check(hung || ops[0].result == -ESPIPE, label + "a read that hangs is timed out");
  files::remove(id);
  const std::string bytes(4096, 'x');
  // The kernel may have cancelled the read already, and with it the last reader is gone.
  const bool filled = write(ends[1], bytes.data(), bytes.size()) == ssize_t(bytes.size());
  check(filled || errno == EPIPE, label + "the late answer comes, unless it was cancelled");
  bool released = !hung;
  for (int i = 0; i < 200 && !released; i++) {
    engine.sweep();
    released = !instance->takeReleases().empty();
    usleep(10000);
  }
  check(released && instance->counters.quarantined == 0, label + "and released when the kernel lets go");
  close(ends[1]);
}

void checkPool() {
  auto pool = std::make_shared<ThreadPool>(1, 2, false);
  std::atomic<bool> begun{false}, go{false}, second{false};
  auto stuck = std::make_shared<Task>(), after = std::make_shared<Task>(), never = std::make_shared<Task>();
  stuck->run = [&] {
    begun = true;
    while (!go) usleep(1000);
  };
  after->run = [&] { second = true; };
  std::atomic<bool> ran{false};
  never->run = [&] { ran = true; };
  pool->submit(stuck);
  for (int i = 0; i < 500 && !begun; i++) usleep(10000);
  pool->submit(never);
  check(!pool->abandon(never), "a task that has not begun never will");
  pool->submit(after);
  check(pool->abandon(stuck), "a task that has begun is told of");
  for (int i = 0; i < 500 && !second; i++) usleep(10000);
  check(second && !ran, "a stuck thread is replaced");
  go = true;
  pool->stop();
  usleep(100000);
}

/** A mapping that fails must leave alone what other threads map meanwhile. */
void checkFailedMapping() {
  constexpr uint64_t kBytes = 16 * kHugePageBytes, kOtherBytes = 4 * kHugePageBytes;
  // More than any pool of huge pages holds.
  const int fd = memfd_create("none", MFD_CLOEXEC | MFD_HUGETLB);
  std::atomic<bool> isOver{false}, intact{true};
  std::thread other([&] {
    while (!isOver) {
      void* const memory = mmap(nullptr, kOtherBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (memory == MAP_FAILED) continue;
      auto* const bytes = static_cast<volatile uint8_t*>(memory);
      for (size_t page = 0; page < 16; page++) bytes[page * kPageBytes] = 1;
      for (size_t page = 0; page < 16; page++) intact = intact && bytes[page * kPageBytes] == 1;
      munmap(memory, kOtherBytes);
    }
  });
  bool failed = fd < 0 || ftruncate(fd, off_t(1) << 44) == 0;
  for (int i = 0; i < 20000 && fd >= 0; i++) failed = buffers::mapAligned(fd, kBytes << 10, PROT_READ) == nullptr && failed;
  isOver = true;
  other.join();
  if (fd >= 0) close(fd);
  check(failed && intact, "a mapping that fails leaves other memory alone");
  auto aligned = std::make_shared<Buffer>();
  aligned->fd = memfd_create("some", MFD_CLOEXEC);
  bool all = ftruncate(aligned->fd, off_t(kBytes)) == 0;
  for (uint64_t bytes : {uint64_t(kPageBytes), kHugePageBytes - kPageBytes, kBytes}) {
    uint8_t* const at = buffers::mapAligned(aligned->fd, bytes, PROT_READ | PROT_WRITE);
    all = all && at != nullptr && reinterpret_cast<uintptr_t>(at) % kHugePageBytes == 0;
    if (at == nullptr) continue;
    at[0] = at[bytes - 1] = 7;
    munmap(at, bytes);
  }
  check(all, "mappings of any length are aligned");
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  signal(SIGPIPE, SIG_IGN);
  installGuard();
  checkChecksums();
  checkPool();
  checkFailedMapping();
  auto instance = std::make_shared<Instance>();
  if (calls::openRoot(arguments[1], instance->rootFd) != 0) return 2;
  checkPaths(instance->rootFd);
  check(createArena(kArenaBytes, instance->arena) == 0, "an arena");
  instance->arenaId = buffers::add(instance->arena.buffer);
  int error = 0;
  if (auto uring = UringEngine::create(Lane::read, error)) {
    checkEngine("io_uring", *uring, instance, "uring-file");
    checkHang("io_uring", *uring, instance);
  } else {
    printf("# io_uring: errno %d\n", -error);
  }
  engines::useThreads(*instance, 4, 2);
  ThreadsEngine threads(Lane::read, instance->readPool);
  checkEngine("threads", threads, instance, "threads-file");
  checkHang("threads", threads, instance);
  instance.reset();
  usleep(200000);
  check(files::openCount() == 0 && buffers::count() == 0, "nothing stays open");
  printf("1..%d\n", checks);
  return failures == 0 ? 0 : 1;
}
