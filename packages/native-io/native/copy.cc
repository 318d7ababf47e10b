#include "copy.h"

#include <cstring>
#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace refill {
namespace {

#if defined(__x86_64__)

// Bytes that are stored around the caches need not be fetched first, which is a third of the traffic of a copy. As in
// checksum_x86.cc, several pages at a time keep as many prefetchers busy.
constexpr size_t kLanes = 4, kLaneBytes = 4096, kStripeBytes = kLanes * kLaneBytes, kLine = 64;
/** Shorter copies may well be read from the cache. */
constexpr size_t kStreamedBytesMin = 256 * 1024;

inline void streamLine(uint8_t* to, const uint8_t* from) {
  __m128i parts[4];
  for (int i = 0; i < 4; i++) parts[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from) + i);
  for (int i = 0; i < 4; i++) _mm_stream_si128(reinterpret_cast<__m128i*>(to) + i, parts[i]);
}

/** Whole stripes of a copy to an aligned place; returns how much that was. */
size_t copyStripes(uint8_t* to, const uint8_t* from, size_t length) {
  size_t done = 0;
  for (; length - done >= kStripeBytes; done += kStripeBytes)
    for (size_t offset = done; offset < done + kLaneBytes; offset += kLine)
      for (size_t lane = 0; lane < kStripeBytes; lane += kLaneBytes) streamLine(to + offset + lane, from + offset + lane);
  // Stores around the caches are ordered with nothing: whoever is told that the copy is done must see them.
  _mm_sfence();
  return done;
}

#endif

}  // namespace

void copyBlock(uint8_t* to, const uint8_t* from, size_t length) {
  size_t done = 0;
#if defined(__x86_64__)
  const bool apart = to + length <= from || from + length <= to;
  if (apart && length >= kStreamedBytesMin && reinterpret_cast<uintptr_t>(to) % kLine == 0)
    done = copyStripes(to, from, length);
#endif
  memmove(to + done, from + done, length - done);
}

}  // namespace refill
