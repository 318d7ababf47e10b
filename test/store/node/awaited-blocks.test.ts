import t from 'tap';
import { AwaitedBlocks } from '../../../packages/store/src/node/awaited-blocks.ts';
import type { Flight } from '../../../packages/store/src/node/load-blocks.ts';
import { settle } from '../../fixtures/manual-clock.ts';

const flightOf = (): Flight => ({
  ids: new Int32Array(0),
  count: 0,
  rows: new Uint32Array(0),
  waiters: [],
  placesLife: 0,
});

async function hasSettled(promise: Promise<void>): Promise<boolean> {
  let settled = false;
  void promise.then(() => {
    settled = true;
  });
  await settle();
  return settled;
}

t.test('a call waits until every flight it boarded has landed, whichever is first', async (t) => {
  const awaited = new AwaitedBlocks();
  const flights = [flightOf(), flightOf(), flightOf()];
  for (const flight of flights) awaited.board(flight);
  for (const flight of flights) t.same(flight.waiters, [awaited]);
  awaited.landed();
  const all = awaited.landedAll();
  awaited.landed();
  t.equal(await hasSettled(all), false);
  awaited.landed();
  t.equal(await hasSettled(all), true);
});

t.test('with nothing on its way there is nothing to wait for', async (t) => {
  t.equal(await hasSettled(new AwaitedBlocks().landedAll()), true);
  const landed = new AwaitedBlocks();
  landed.board(flightOf());
  landed.landed();
  t.equal(await hasSettled(landed.landedAll()), true);
});
