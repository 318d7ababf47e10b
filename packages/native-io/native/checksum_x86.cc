#include "checksum.h"
#if defined(__x86_64__)
#include <immintrin.h>

namespace refill::crc {

CrcLevel detect() {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("pclmul") || !__builtin_cpu_supports("sse4.1")) return CrcLevel::table;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq")) return CrcLevel::vclmul;
  return CrcLevel::clmul;
}

#define REFILL_CLMUL __attribute__((target("pclmul,sse4.1")))
#define REFILL_VCLMUL __attribute__((target("avx512f,vpclmulqdq,pclmul,sse4.1")))

namespace {

REFILL_CLMUL inline __m128i load(const uint8_t* at) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
}

REFILL_CLMUL inline __m128i fold(__m128i value, __m128i by, __m128i next) {
  return _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(value, by, 0x00), _mm_clmulepi64_si128(value, by, 0x11)),
                       next);
}

template <unsigned bits>
REFILL_CLMUL inline __m128i by128() {
  constexpr uint64_t low = foldLow(bits), high = foldHigh(bits);
  return _mm_set_epi64x(int64_t(high), int64_t(low));
}

/** The last 16 bytes of folded state go through the table: 128 bits times x^64 mod P. */
REFILL_CLMUL inline uint64_t finish(__m128i value, const uint8_t* tail, size_t length) {
  alignas(16) uint8_t last[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(last), value);
  return byTable(byTable(0, last, 16), tail, length);
}

}  // namespace

namespace {

// A core fetches ahead within a page and begins anew at the next, so one stream of bytes waits at every page. A long
// run is therefore read as stripes: a page a lane, all lanes at once. Each lane folds along its page, and at the end of
// a stripe jumps over the pages of the others; what the lanes hold is put together once, after the last stripe.
constexpr size_t kLaneBytes = 4096;

template <size_t lanes>
constexpr unsigned jumpBits(size_t vectorBytes) {
  return unsigned(((lanes - 1) * kLaneBytes + vectorBytes) * 8);
}

constexpr size_t kNarrowLanes = 4, kWideLanes = 8;
constexpr size_t kNarrowStripe = kNarrowLanes * kLaneBytes, kWideStripe = kWideLanes * kLaneBytes;

/** Takes all whole stripes; `at` and `length` are what is left. */
REFILL_CLMUL uint64_t narrowStripes(uint64_t state, const uint8_t*& at, size_t& length) {
  const __m128i along = by128<128>(), jump = by128<jumpBits<kNarrowLanes>(16)>(), lane = by128<kLaneBytes * 8>();
  __m128i lanes[kNarrowLanes];
  for (size_t i = 0; i < kNarrowLanes; i++) lanes[i] = load(at + i * kLaneBytes);
  lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi64_si128(int64_t(state)));
  for (;;) {
    for (size_t offset = 16; offset < kLaneBytes; offset += 16)
      for (size_t i = 0; i < kNarrowLanes; i++) lanes[i] = fold(lanes[i], along, load(at + i * kLaneBytes + offset));
    at += kNarrowStripe;
    length -= kNarrowStripe;
    if (length < kNarrowStripe) break;
    for (size_t i = 0; i < kNarrowLanes; i++) lanes[i] = fold(lanes[i], jump, load(at + i * kLaneBytes));
  }
  for (size_t i = 1; i < kNarrowLanes; i++) lanes[0] = fold(lanes[0], lane, lanes[i]);
  return finish(lanes[0], at, 0);
}

}  // namespace

REFILL_CLMUL uint64_t byClmul(uint64_t state, const uint8_t* at, size_t length) {
  if (length >= kNarrowStripe) state = narrowStripes(state, at, length);
  if (length < 64) return byTable(state, at, length);
  __m128i a = _mm_xor_si128(load(at), _mm_cvtsi64_si128(int64_t(state)));
  __m128i b = load(at + 16), c = load(at + 32), d = load(at + 48);
  at += 64;
  length -= 64;
  const __m128i by512 = by128<512>(), step = by128<128>();
  for (; length >= 64; at += 64, length -= 64) {
    a = fold(a, by512, load(at));
    b = fold(b, by512, load(at + 16));
    c = fold(c, by512, load(at + 32));
    d = fold(d, by512, load(at + 48));
  }
  a = fold(fold(fold(a, step, b), step, c), step, d);
  for (; length >= 16; at += 16, length -= 16) a = fold(a, step, load(at));
  return finish(a, at, length);
}

namespace {

REFILL_VCLMUL inline __m512i foldWide(__m512i value, __m512i by, __m512i next) {
  return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(value, by, 0x00),
                                   _mm512_clmulepi64_epi128(value, by, 0x11), next, 0x96);
}

template <unsigned bits>
REFILL_VCLMUL inline __m512i by512() {
  constexpr uint64_t low = foldLow(bits), high = foldHigh(bits);
  return _mm512_set_epi64(int64_t(high), int64_t(low), int64_t(high), int64_t(low), int64_t(high), int64_t(low),
                          int64_t(high), int64_t(low));
}

REFILL_VCLMUL inline uint64_t finishWide(__m512i wide, const uint8_t* tail, size_t length) {
  alignas(64) uint8_t parts[64];
  _mm512_store_si512(parts, wide);
  const __m128i step = by128<128>();
  __m128i value = load(parts);
  for (int i = 1; i < 4; i++) value = fold(value, step, load(parts + 16 * i));
  for (; length >= 16; tail += 16, length -= 16) value = fold(value, step, load(tail));
  return finish(value, tail, length);
}

REFILL_VCLMUL inline __m512i wideStart(const uint8_t* at, uint64_t state) {
  return _mm512_xor_si512(_mm512_loadu_si512(at), _mm512_zextsi128_si512(_mm_cvtsi64_si128(int64_t(state))));
}

/** Takes all whole stripes; `at` and `length` are what is left. */
REFILL_VCLMUL uint64_t wideStripes(uint64_t state, const uint8_t*& at, size_t& length) {
  const __m512i along = by512<512>(), jump = by512<jumpBits<kWideLanes>(64)>(), lane = by512<kLaneBytes * 8>();
  __m512i lanes[kWideLanes];
  lanes[0] = wideStart(at, state);
  for (size_t i = 1; i < kWideLanes; i++) lanes[i] = _mm512_loadu_si512(at + i * kLaneBytes);
  for (;;) {
    for (size_t offset = 64; offset < kLaneBytes; offset += 64)
      for (size_t i = 0; i < kWideLanes; i++)
        lanes[i] = foldWide(lanes[i], along, _mm512_loadu_si512(at + i * kLaneBytes + offset));
    at += kWideStripe;
    length -= kWideStripe;
    if (length < kWideStripe) break;
    for (size_t i = 0; i < kWideLanes; i++)
      lanes[i] = foldWide(lanes[i], jump, _mm512_loadu_si512(at + i * kLaneBytes));
  }
  for (size_t i = 1; i < kWideLanes; i++) lanes[0] = foldWide(lanes[0], lane, lanes[i]);
  return finishWide(lanes[0], at, 0);
}

}  // namespace

REFILL_VCLMUL uint64_t byVclmul(uint64_t state, const uint8_t* at, size_t length) {
  if (length >= kWideStripe) state = wideStripes(state, at, length);
  if (length < 1024) return length < 64 ? byTable(state, at, length) : byClmul(state, at, length);
  // Eight accumulators hide the latency of the multiplier: 512 bytes a turn.
  __m512i lanes[8];
  lanes[0] = wideStart(at, state);
  for (int i = 1; i < 8; i++) lanes[i] = _mm512_loadu_si512(at + 64 * i);
  at += 512;
  length -= 512;
  const __m512i turn = by512<4096>(), next = by512<512>();
  for (; length >= 512; at += 512, length -= 512)
    for (int i = 0; i < 8; i++) lanes[i] = foldWide(lanes[i], turn, _mm512_loadu_si512(at + 64 * i));
  __m512i wide = lanes[0];
  for (int i = 1; i < 8; i++) wide = foldWide(wide, next, lanes[i]);
  for (; length >= 64; at += 64, length -= 64) wide = foldWide(wide, next, _mm512_loadu_si512(at));
  return finishWide(wide, at, length);
}

}  // namespace refill::crc
#endif
