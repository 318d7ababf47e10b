#include "checksum.h"

#include <array>
#include <cstring>

namespace refill {
namespace crc {
namespace {

using Tables = std::array<std::array<uint64_t, 256>, 8>;

constexpr Tables makeTables() {
  Tables tables{};
  for (unsigned byte = 0; byte < 256; byte++) {
    uint64_t value = byte;
    for (int bit = 0; bit < 8; bit++) value = (value >> 1) ^ (value & 1 ? kCrc64Poly : 0);
    tables[0][byte] = value;
  }
  for (unsigned slice = 1; slice < 8; slice++)
    for (unsigned byte = 0; byte < 256; byte++) {
      const uint64_t before = tables[slice - 1][byte];
      tables[slice][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  return tables;
}

constexpr Tables kTables = makeTables();

}  // namespace

uint64_t byTable(uint64_t state, const uint8_t* bytes, size_t length) {
  while (length >= 8) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    word ^= state;
    state = kTables[7][word & 0xff] ^ kTables[6][word >> 8 & 0xff] ^ kTables[5][word >> 16 & 0xff] ^
            kTables[4][word >> 24 & 0xff] ^ kTables[3][word >> 32 & 0xff] ^ kTables[2][word >> 40 & 0xff] ^
            kTables[1][word >> 48 & 0xff] ^ kTables[0][word >> 56];
    bytes += 8;
    length -= 8;
  }
  while (length-- > 0) state = (state >> 8) ^ kTables[0][(state ^ *bytes++) & 0xff];
  return state;
}

}  // namespace crc

CrcLevel crcLevelBest() {
  static const CrcLevel level = crc::detect();
  return level;
}

const char* crcLevelName(CrcLevel level) {
  if (level == CrcLevel::table) return "table";
#if defined(__aarch64__)
  return "pmull";
#else
  return level == CrcLevel::clmul ? "pclmul" : "vpclmul-avx512";
#endif
}

uint64_t crc64By(CrcLevel level, uint64_t start, const void* bytes, size_t length) {
  const auto* at = static_cast<const uint8_t*>(bytes);
  const uint64_t state = ~start;
  if (level == CrcLevel::vclmul && length >= 1024) return ~crc::byVclmul(state, at, length);
  if (level != CrcLevel::table && length >= 64) return ~crc::byClmul(state, at, length);
  return ~crc::byTable(state, at, length);
}

uint64_t crc64(uint64_t start, const void* bytes, size_t length) {
  return crc64By(crcLevelBest(), start, bytes, length);
}

}  // namespace refill
