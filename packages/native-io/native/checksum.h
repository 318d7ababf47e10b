// CRC-64/NVME by the best vector unit of this machine.
#pragma once
#include <cstddef>
#include <cstdint>

namespace refill {

/** Reflected form of the polynomial 0xad93d23594c93659. */
constexpr uint64_t kCrc64Poly = 0x9a6c9329ac4bc9b5;

enum class CrcLevel : int { table = 0, clmul = 1, vclmul = 2 };

/** Best level of this machine. */
CrcLevel crcLevelBest();
const char* crcLevelName(CrcLevel level);

/** Continues `crc` (0 to begin) over `length` bytes; `crc64(crc64(0, a), b)` is the checksum of `ab`. */
uint64_t crc64(uint64_t crc, const void* bytes, size_t length);
/** The same by a level that this machine has; for tests. */
uint64_t crc64By(CrcLevel level, uint64_t crc, const void* bytes, size_t length);

namespace crc {
/** rev64(x^n mod P): n steps of the reflected shift register from 1. */
constexpr uint64_t power(unsigned n) {
  uint64_t value = uint64_t(1) << 63;
  while (n-- > 0) value = (value >> 1) ^ (value & 1 ? kCrc64Poly : 0);
  return value;
}
// A carry-less product of two reflected 64-bit halves is one bit short of 128, so that moving a half forward by n
// bits multiplies it by x^(n-1). The half that lies lower in memory is 64 bits further from the end.
constexpr uint64_t foldLow(unsigned bits) { return power(bits + 63); }
constexpr uint64_t foldHigh(unsigned bits) { return power(bits - 1); }

/** These work on the raw register, without the inversions at both ends. */
uint64_t byTable(uint64_t state, const uint8_t* bytes, size_t length);
uint64_t byClmul(uint64_t state, const uint8_t* bytes, size_t length);
uint64_t byVclmul(uint64_t state, const uint8_t* bytes, size_t length);
CrcLevel detect();
}  // namespace crc

}  // namespace refill
