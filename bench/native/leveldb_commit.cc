// The rival of durable commits: records of the size of ours in sync batches, straight on LevelDB.
// Usage: leveldb_commit DIR RECORDS BATCH THREADS      prints records per second
#include <leveldb/db.h>
#include <leveldb/write_batch.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr size_t kKeyBytes = 36;
constexpr size_t kValueBytes = 72;

uint64_t next(uint64_t& state) {
  state += 0x9e3779b97f4a7c15;
  uint64_t mixed = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  return mixed ^ (mixed >> 31);
}

std::string random_bytes(uint64_t& state, size_t count) {
  std::string bytes(count, '\0');
  for (size_t i = 0; i < count; i++) bytes[i] = static_cast<char>(next(state));
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: leveldb_commit DIR RECORDS BATCH THREADS\n");
    return 2;
  }
  const long records = atol(argv[2]), batch_records = atol(argv[3]), threads = atol(argv[4]);
  leveldb::Options options;
  options.create_if_missing = true;
  options.compression = leveldb::kNoCompression;
  leveldb::DB* db = nullptr;
  leveldb::Status opened = leveldb::DB::Open(options, argv[1], &db);
  if (!opened.ok()) {
    fprintf(stderr, "%s\n", opened.ToString().c_str());
    return 1;
  }
  std::atomic<long> left(records);
  std::vector<std::thread> callers;
  const auto start = std::chrono::steady_clock::now();
  for (long caller = 0; caller < threads; caller++) {
    callers.emplace_back([&, caller] {
      uint64_t state = static_cast<uint64_t>(caller) << 40;
      leveldb::WriteOptions sync;
      sync.sync = true;
      while (left.fetch_sub(batch_records) > 0) {
        leveldb::WriteBatch batch;
        for (long i = 0; i < batch_records; i++) {
          const std::string value = random_bytes(state, kValueBytes);
          batch.Put(random_bytes(state, kKeyBytes), value);
        }
        if (!db->Write(sync, &batch).ok()) abort();
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  printf("%.0f\n", static_cast<double>(records) / elapsed.count());
  delete db;
  return 0;
}
