import { CRC64_CHECK } from '@refill/interface';
import t from 'tap';
import { type Crc64, crc64 } from '../../../packages/store/src/segment/crc64.ts';
import { seededRandom } from '../../fixtures/seeded-random.ts';

const POLYNOMIAL = 0x9a6c9329ac4bc9b5n;
const ONES = 2n ** 64n - 1n;

/** The definition, bit by bit. */
function plain(bytes: Uint8Array): bigint {
  let crc = ONES;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ POLYNOMIAL : crc >> 1n;
  }
  return crc ^ ONES;
}

function joined({ lo, hi }: Crc64): bigint {
  return (BigInt(hi) << 32n) | BigInt(lo);
}

t.test('the check value is that of CRC-64/NVME', async (t) => {
  t.equal(joined(crc64(new TextEncoder().encode('123456789'))), CRC64_CHECK);
});

t.test('it equals the definition at every length and alignment, in one go and in two', async (t) => {
  const random = seededRandom(t);
  const bytes = Uint8Array.from({ length: 200 }, () => random() * 256);
  for (let i = 0; i < 200; i++) {
    const from = Math.floor(random() * 20);
    const to = from + Math.floor(random() * (bytes.length - from));
    const cut = from + Math.floor(random() * (to - from));
    const expected = plain(bytes.subarray(from, to));
    const both = [crc64(bytes, from, to), crc64(bytes, cut, to, crc64(bytes, from, cut))];
    if (both.some((crc) => joined(crc) !== expected)) t.fail(`bytes ${from} to ${to}, cut at ${cut}`);
  }
  t.pass('200 ranges');
});
