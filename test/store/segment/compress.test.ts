import t from 'tap';
import { compressPayload, expandPayload } from '../../../packages/store/src/segment/compress.ts';
import { seededRandom } from '../../fixtures/seeded-random.ts';
import { keyOf, sameBlock, TierWorld } from '../../fixtures/tier-world.ts';

/** Values like those of a KV cache: exponents close together, mantissas random. */
function bf16(random: () => number, values: number): Uint8Array {
  const floats = Float32Array.from({ length: values }, () => random() + random() + random() - 1.5);
  const words = new Uint32Array(floats.buffer);
  const bytes = new Uint8Array(values * 2);
  for (let i = 0; i < values; i++) {
    bytes[2 * i] = words[i]! >>> 16;
    bytes[2 * i + 1] = words[i]! >>> 24;
  }
  return bytes;
}

t.test('planes of 16-bit floats shrink and come back', async (t) => {
  const random = seededRandom(t);
  const payload = bf16(random, 50_000);
  for (const split of ['bfloat16', 'float16'] as const) {
    const stored = await compressPayload(payload, split);
    if (split === 'bfloat16') t.ok(stored && stored.length < payload.length * 0.95);
    if (stored === undefined) continue;
    const target = new Uint8Array(payload.length);
    target.set(stored);
    t.ok(await expandPayload(target.subarray(0, stored.length), target, split), 'in place');
    t.equal(Buffer.compare(target, payload), 0);
    t.notOk(await expandPayload(stored.subarray(1), target, split), 'not a stored form');
  }
});

t.test('what does not shrink is left alone', async (t) => {
  const random = seededRandom(t);
  const noise = Uint8Array.from({ length: 10_000 }, () => random() * 256);
  t.equal(await compressPayload(noise, 'bfloat16'), undefined);
  t.equal(await compressPayload(noise.subarray(0, 9_999), 'bfloat16'), undefined);
  t.equal(await compressPayload(noise, undefined), undefined);
});

t.test('a namespace that asks for it stores less and reads the same', async (t) => {
  const random = seededRandom(t);
  const world = new TierWorld();
  await world.boot();
  await world.open({}, { compress: true });
  const blocks = [1, 2, 3].map((n) => ({ key: keyOf(n), bytes: bf16(random, 40_000) }));
  await world.store(blocks);
  const { counters } = world.tier;
  t.ok(counters.compressedBytes < counters.compressibleBytes * 0.95);
  const loaded = await world.load(blocks.map((block) => block.key));
  for (const [i, block] of blocks.entries()) t.ok(sameBlock(loaded[i], block));
  await world.close();
  t.equal(world.scratch.taken, 0);
});
