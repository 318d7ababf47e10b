import { fillPayload, findPayloadMismatch } from '@refill/cli';
import { keyOf } from '@refill/interface';
import t from 'tap';

function payload(name: string, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  fillPayload(keyOf(name), bytes);
  return bytes;
}

t.test('a payload of any length is right for its key', async (t) => {
  for (const length of [1, 31, 32, 35, 36, 37, 4095, 4096, 4097, 4132, 65_536, 100_001]) {
    t.equal(findPayloadMismatch(keyOf('a'), payload('a', length)), -1, `${length} bytes`);
  }
});

t.test('every change of a single byte is found, in the page where it is', async (t) => {
  const bytes = payload('a', 3 * 4096 + 500);
  let missed = 0;
  for (let i = 0; i < bytes.length; i++) {
    for (const flip of [1, 0x80]) {
      bytes[i]! ^= flip;
      if (findPayloadMismatch(keyOf('a'), bytes) !== i - (i % 4096)) missed++;
      bytes[i]! ^= flip;
    }
  }
  t.equal(missed, 0);
  t.equal(findPayloadMismatch(keyOf('a'), bytes), -1);
});

t.test('a payload of another key, a page of another place and zeros are found', async (t) => {
  t.equal(findPayloadMismatch(keyOf('b'), payload('a', 8192)), 0);
  const swapped = payload('a', 8192);
  swapped.copyWithin(4096, 0, 4096);
  t.equal(findPayloadMismatch(keyOf('a'), swapped), 4096);
  t.equal(findPayloadMismatch(keyOf('a'), new Uint8Array(4096)), 0);
});

t.test('views into larger memory are filled and checked in their bounds', async (t) => {
  const memory = new Uint8Array(20_000).fill(0xee);
  fillPayload(keyOf('a'), memory.subarray(1001, 11_001));
  t.equal(memory[1000], 0xee);
  t.equal(memory[11_001], 0xee);
  t.equal(findPayloadMismatch(keyOf('a'), memory.subarray(1001, 11_001)), -1);
});

t.test('random bytes do not compress, so that no layer below can cheat', async (t) => {
  const { deflateSync } = await import('node:zlib');
  t.ok(deflateSync(payload('a', 65_536)).length > 65_000);
});
