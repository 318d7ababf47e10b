// Bytes between two peers, version 1: docs/internals/peer-protocol.md. Little-endian, like every machine it runs on.
//
//   stream  = *(request answers)
//   request = RequestHead count * RequestEntry
//   answers = count * answer | AnswerHead (position kWholeRequest: nothing of it is sent)
//   answer  = AnswerHead [payload checksum(8)]          in the order of the request
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "checksum.h"

namespace refill::peer {

static_assert(std::endian::native == std::endian::little);

constexpr uint32_t kRequestMagic = 0x51504652;  // "RFPQ"
constexpr uint32_t kAnswerMagic = 0x41504652;   // "RFPA"
constexpr uint16_t kVersion = 1;
constexpr uint32_t kTicketBytes = 32;
/** Mirrors PEER_BLOCKS_MAX, PEER_OFFERS_MAX and BLOCK_BYTES_MAX of the contract. */
constexpr uint32_t kBlocksMax = 4096;
constexpr uint32_t kOffersMax = 4096;
constexpr uint32_t kBlockBytesMax = 256u << 20;

struct RequestHead {
  uint32_t magic;
  uint16_t version;
  uint16_t zero;
  uint32_t request;
  uint32_t count;
  uint8_t ticket[kTicketBytes];
};
static_assert(sizeof(RequestHead) == 48);

struct RequestEntry {
  uint32_t index;
  uint32_t length;
};
static_assert(sizeof(RequestEntry) == 8);

enum AnswerStatus : uint32_t { kSent = 0, kRefused = 1, kVersionUnknown = 2 };
constexpr uint32_t kWholeRequest = 0xffffffff;

struct AnswerHead {
  uint32_t magic;
  uint32_t request;
  /** Place in the request's list. */
  uint32_t position;
  uint32_t status;
  /** As asked for when it is sent, else 0. */
  uint32_t length;
  uint32_t zero;
};
static_assert(sizeof(AnswerHead) == 24);

constexpr uint32_t kChecksumBytes = 8;

/** Bound into a block's checksum after its payload. Each side takes its own: it never travels. */
struct BlockIdentity {
  uint32_t namespaceId[4];
  uint32_t key[8];
  uint64_t length;
};
static_assert(sizeof(BlockIdentity) == 56);

/** Continues the checksum of a payload over the identity in the first twelve words of a row. */
inline uint64_t bindIdentity(uint64_t crc, const uint32_t* words, uint32_t length) {
  BlockIdentity identity;
  memcpy(&identity, words, 48);
  identity.length = length;
  return crc64(crc, &identity, sizeof identity);
}

/** Rows of packages/interface/src/peer-transport.ts. */
struct OfferRow {
  uint32_t identity[12];
  uint32_t bufferOffset[2];
  uint32_t length;
  uint32_t zero;
};
static_assert(sizeof(OfferRow) == 16 * 4);

struct ReceiveRow {
  uint32_t identity[12];
  uint32_t index;
  uint32_t length;
  uint32_t buffer;
  uint32_t bufferOffset[2];
  uint32_t status;
};
static_assert(sizeof(ReceiveRow) == 18 * 4 && offsetof(ReceiveRow, status) == 17 * 4);

enum ReceiveStatus : uint32_t {
  kPendingBlock = 0,
  kDone = 1,
  kLate = 2,
  kCorrupt = 3,
  kRefusedBlock = 4,
  kFailed = 5,
};

}  // namespace refill::peer
