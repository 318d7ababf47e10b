import { PEER_BLOCKS_MAX, PUT_TTL_MS_MAX } from '@refill/interface';
import t from 'tap';
import {
  decodeHeld,
  decodeMessage,
  encodeHeld,
  encodeHold,
} from '../../../packages/store/src/peer/peer-messages.ts';
import { HoldWorld } from '../../fixtures/hold-world.ts';
import { namespaceIdOf, peerKey } from '../../fixtures/peer-world.ts';

const hold = { namespaceId: namespaceIdOf(0)!, keys: peerKey(1), count: 1, ttlMs: 700 };

t.test('a hold and its answer say the same on both sides', async (t) => {
  t.match(decodeMessage(encodeHold(hold)), { kind: 'hold', ...hold });
  const held = { held: 3, refused: 2, freeBytes: 2 ** 40 };
  t.same(decodeHeld(encodeHeld(held), 5), held);
});

t.test('holds that are not exactly as long as they say, or mean nothing, are refused', async (t) => {
  const whole = encodeHold(hold);
  const withWord = (at: number, value: number): Uint8Array => {
    const body = whole.slice();
    new DataView(body.buffer).setUint32(at, value, true);
    return body;
  };
  const wrong = [
    whole.subarray(0, whole.length - 1),
    whole.subarray(0, 16),
    withWord(0, 4),
    withWord(4, 0),
    withWord(4, 2),
    withWord(4, PEER_BLOCKS_MAX + 1),
    withWord(24, PUT_TTL_MS_MAX + 1),
    withWord(28, 1),
  ];
  for (const body of wrong) t.throws(() => decodeMessage(body), { code: 'ERR_PROTOCOL' });
  const held = encodeHeld({ held: 1, refused: 1, freeBytes: 0 });
  t.throws(() => decodeHeld(held, 1), { code: 'ERR_PROTOCOL' }, 'more than were asked for');
  t.throws(() => decodeHeld(held.subarray(0, 8), 2), { code: 'ERR_PROTOCOL' });
});

t.test('a namespace that is not known there is refused, not an error', async (t) => {
  const world = new HoldWorld();
  const [a, b] = [await world.node('a'), await world.node('b')];
  const body = encodeHold({ ...hold, namespaceId: new Uint8Array(16).fill(99) });
  const answer = await world.until(
    a.control.request(b.control.self, '/refill/peer/1', body, { deadlineMs: 1000 }),
  );
  t.same(decodeHeld(answer, 1), { held: 0, refused: 1, freeBytes: 0 });
});
