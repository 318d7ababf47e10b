import { CRC64_CHECK } from '@refill/interface';
import { crc64 } from '@refill/native-io';
import t from 'tap';
import { native } from '../../packages/native-io/src/native.ts';

const POLYNOMIAL = 0x9a6c9329ac4bc9b5n;
const ONES = 0xffff_ffff_ffff_ffffn;

/** Bit by bit, as the specification has it: the register after each byte, before the final inversion. */
function prefixes(bytes: Uint8Array): bigint[] {
  const out = [ONES];
  let state = ONES;
  for (const byte of bytes) {
    state ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) state = (state >> 1n) ^ ((state & 1n) * POLYNOMIAL);
    out.push(state);
  }
  return out;
}

const levels = native.checksumLevels();
t.comment(`levels of this machine: ${levels.join(', ')}`);

t.test('the check value of the specification', async (t) => {
  t.equal(crc64(Buffer.from('123456789')), CRC64_CHECK);
  t.equal(crc64(new Uint8Array(0)), 0n);
});

levels.forEach((name, level) => {
  t.test(`${name} agrees with the bitwise reference on every length and alignment`, async (t) => {
    const lengthMax = 2048;
    for (const shift of [0, 1, 7, 8, 15, 16, 33, 63]) {
      const memory = new Uint8Array(lengthMax + 128);
      for (let i = 0; i < memory.length; i++) memory[i] = (Math.imul(i + shift, 2654435761) >>> 13) & 255;
      const bytes = memory.subarray(shift, shift + lengthMax);
      const expected = prefixes(bytes);
      for (let length = 0; length <= lengthMax; length++) {
        const got = native.checksum(bytes.subarray(0, length), level);
        if (got !== (expected[length]! ^ ONES)) return t.fail(`length ${length} at ${shift}: ${got}`);
      }
    }
    t.pass();
  });

  t.test(`${name} agrees with the table on long buffers`, async (t) => {
    const bytes = new Uint8Array(300_000);
    for (let i = 0; i < bytes.length; i++) bytes[i] = (Math.imul(i, 2246822519) >>> 11) & 255;
    for (const length of [
      4095, 4096, 16_383, 16_384, 16_385, 32_767, 32_768, 32_831, 33_792, 65_535, 65_536, 65_537, 98_304,
      299_999, 300_000,
    ]) {
      const part = bytes.subarray(300_000 - length);
      t.equal(native.checksum(part, level), native.checksum(part, 0));
    }
  });
});
