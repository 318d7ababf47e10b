import { KEYS_PER_CALL_MAX, PUT_ROW, PUT_ROW_WORDS, REGION_ROW, REGION_ROW_WORDS } from '@refill/interface';
import t from 'tap';
import {
  checkCount,
  checkDeadline,
  checkDurability,
  checkKeys,
  checkPlaces,
  checkPuts,
  placeOffset,
} from '../../../packages/store/src/node/arguments.ts';

const refused = (message: RegExp) => ({ code: 'ERR_INVALID_ARGUMENT', message });

function putsOf(...lengths: number[]): Uint32Array {
  const puts = new Uint32Array(lengths.length * PUT_ROW_WORDS);
  lengths.forEach((length, i) => {
    puts[i * PUT_ROW_WORDS + PUT_ROW.lengthBytes] = length;
  });
  return puts;
}

function placesOf(...places: [offset: number, length: number][]): Uint32Array {
  const rows = new Uint32Array(places.length * REGION_ROW_WORDS);
  places.forEach(([offset, length], i) => {
    rows[i * REGION_ROW_WORDS + REGION_ROW.offsetLo] = offset >>> 0;
    rows[i * REGION_ROW_WORDS + REGION_ROW.offsetHi] = Math.floor(offset / 2 ** 32);
    rows[i * REGION_ROW_WORDS + REGION_ROW.lengthBytes] = length;
  });
  return rows;
}

t.test('empty and over-long blocks are refused by their place, their length and what to do', async (t) => {
  checkPuts(putsOf(1, 2 ** 28), 2);
  t.throws(
    () => checkPuts(putsOf(5, 0), 2),
    refused(/puts\[1\]\.lengthBytes must be 1 to 268435456, got 0; .*empty/),
  );
  t.throws(
    () => checkPuts(putsOf(2 ** 28 + 1), 1),
    refused(/puts\[0\]\.lengthBytes .* got 268435457; split/),
  );
});

t.test('a count that is no number of rows, or more than a call takes, is refused', async (t) => {
  checkCount(KEYS_PER_CALL_MAX);
  for (const count of [-1, 0.5, Number.NaN, KEYS_PER_CALL_MAX + 1])
    t.throws(() => checkCount(count), refused(/count must be a whole number up to 16384, got .*; split/));
  checkKeys(new Uint32Array(16), 2);
  t.throws(
    () => checkKeys(new Uint32Array(15), 2),
    refused(/keys must hold 16 elements for a count of 2, got 15/),
  );
});

t.test('places lie inside their region, however large it is', async (t) => {
  const region = 5 * 2 ** 32;
  const last = region - 4096;
  checkPlaces(placesOf([0, 1], [last, 4096]), 2, region);
  t.equal(placeOffset(placesOf([0, 1], [last, 4096]), 1), last);
  t.throws(
    () => checkPlaces(placesOf([0, 1], [last, 4097]), 2, region),
    refused(/places\[1\] must lie inside the region of 21474836480 bytes, got 4097 bytes at 21474832384/),
  );
});

t.test('deadlines and durabilities that there are not are refused by value', async (t) => {
  for (const deadlineMs of [0, 600_000]) checkDeadline(deadlineMs);
  for (const deadlineMs of [-1, 600_001, Number.NaN])
    t.throws(() => checkDeadline(deadlineMs), refused(/deadlineMs must be 0 to 600000, got/));
  for (const durability of ['memory', 'shared']) checkDurability(durability);
  for (const durability of ['disk', 'toString'])
    t.throws(() => checkDurability(durability), refused(/durability must be 'memory' or 'shared', got "/));
});
