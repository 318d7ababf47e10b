// Copies of blocks between arena and regions.
#pragma once
#include <cstddef>
#include <cstdint>

namespace refill {

/** As `memmove`, for bytes that this core does not read again soon: a long copy leaves nothing of itself in the caches. */
void copyBlock(uint8_t* to, const uint8_t* from, size_t length);

}  // namespace refill
