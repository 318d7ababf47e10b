// Layout of a batch, mirrored from packages/interface/src/io-batch.ts, and of the block identity of checksum.ts.
#pragma once
#include <cstddef>
#include <cstdint>

namespace refill {

enum Opcode : uint32_t { kRead = 1, kWrite = 2, kSync = 3, kCopy = 4, kChecksum = 5 };

enum OpFlag : uint32_t { kFlagChecksum = 1, kFlagVerify = 2, kFlagAdjacent = 4, kFlagUnbound = 8 };

constexpr int32_t kPending = -0x7fffffff;

struct IoOp {
  uint32_t opcode;
  uint32_t flags;
  uint32_t file;
  uint32_t buffer;
  uint32_t fileOffset[2];
  uint32_t bufferOffset[2];
  uint32_t length;
  int32_t result;
  uint32_t checksum[2];
  uint32_t key[8];
  uint32_t sourceOffset[2];
  uint32_t sourceBuffer;
  uint32_t micros;
};
static_assert(sizeof(IoOp) == 24 * 4, "24 words an operation");
static_assert(offsetof(IoOp, result) == 9 * 4 && offsetof(IoOp, key) == 12 * 4, "layout of io-batch.ts");
static_assert(offsetof(IoOp, sourceBuffer) == 22 * 4 && offsetof(IoOp, micros) == 23 * 4, "layout of io-batch.ts");

inline uint64_t join(const uint32_t words[2]) { return words[0] | uint64_t(words[1]) << 32; }
inline void split(uint64_t value, uint32_t words[2]) {
  words[0] = uint32_t(value);
  words[1] = uint32_t(value >> 32);
}

constexpr uint32_t kFileIdentityBytes = 40;

/** Identity of a block: bound into its checksum after the payload. */
struct Identity {
  uint8_t file[kFileIdentityBytes];
  uint32_t key[8];
  uint32_t offset[2];
  uint32_t length[2];
};
static_assert(sizeof(Identity) == 88, "identity of checksum.ts");

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kHugePageBytes = 2u << 20;
constexpr uint64_t kPaneBytes = 1u << 30;

inline uint64_t roundUp(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace refill
