/**
 * Checksum of a block (rule R2): CRC-64/NVME over the stored payload followed by the block's identity, so that the
 * right bytes in the wrong place fail as surely as wrong bytes in the right place.
 *
 * CRC-64/NVME: polynomial 0xad93d23594c93659, reflected, initial value and final xor all ones; the check value over
 * "123456789" is 0xae8b14860a799888 (NVM Express NVM Command Set Specification 1.0, section 5.2.1.3.4).
 *
 * Identity, 88 bytes, little-endian:
 * ```
 *  0  16  namespace id
 * 16  16  segment id
 * 32   8  writer epoch
 * 40  32  key
 * 72   8  offset in the segment, bytes
 * 80   8  stored length, bytes
 * ```
 * The first 40 bytes are the file's and are given to `BlockIO.open`; the rest is the operation's.
 */
export const IDENTITY_BYTES = 88;
/** Part of the identity that all blocks of a file share: namespace id, segment id, writer epoch. */
export const FILE_IDENTITY_BYTES = 40;
/** Check value of CRC-64/NVME over the nine ASCII digits "123456789". */
export const CRC64_CHECK: bigint = 0xae8b14860a799888n;
