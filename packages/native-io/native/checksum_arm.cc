#include "checksum.h"
#if defined(__aarch64__)
#include <arm_neon.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>

#include <cstring>

namespace refill::crc {

CrcLevel detect() { return getauxval(AT_HWCAP) & HWCAP_PMULL ? CrcLevel::clmul : CrcLevel::table; }

#define REFILL_PMULL __attribute__((target("+crypto")))

namespace {

REFILL_PMULL inline uint64x2_t load(const uint8_t* at) { return vreinterpretq_u64_u8(vld1q_u8(at)); }

REFILL_PMULL inline uint64x2_t multiply(uint64_t a, uint64_t b) {
  return vreinterpretq_u64_p128(vmull_p64(poly64_t(a), poly64_t(b)));
}

template <unsigned bits>
REFILL_PMULL inline uint64x2_t fold(uint64x2_t value, uint64x2_t next) {
  constexpr uint64_t low = foldLow(bits), high = foldHigh(bits);
  return veorq_u64(veorq_u64(multiply(vgetq_lane_u64(value, 0), low), multiply(vgetq_lane_u64(value, 1), high)),
                   next);
}

}  // namespace

REFILL_PMULL uint64_t byClmul(uint64_t state, const uint8_t* at, size_t length) {
  uint64x2_t a = veorq_u64(load(at), vcombine_u64(vcreate_u64(state), vcreate_u64(0)));
  uint64x2_t b = load(at + 16), c = load(at + 32), d = load(at + 48);
  at += 64;
  length -= 64;
  for (; length >= 64; at += 64, length -= 64) {
    a = fold<512>(a, load(at));
    b = fold<512>(b, load(at + 16));
    c = fold<512>(c, load(at + 32));
    d = fold<512>(d, load(at + 48));
  }
  a = fold<128>(fold<128>(fold<128>(a, b), c), d);
  for (; length >= 16; at += 16, length -= 16) a = fold<128>(a, load(at));
  uint8_t last[16];
  memcpy(last, &a, 16);
  return byTable(byTable(0, last, 16), at, length);
}

uint64_t byVclmul(uint64_t state, const uint8_t* bytes, size_t length) { return byClmul(state, bytes, length); }

}  // namespace refill::crc
#endif
