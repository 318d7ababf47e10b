import { systemClock, type TwoMountCounts, twoMountFinding, writeHereReadThere } from '@refill/cli';
import type { BlockIO } from '@refill/interface';
import { createBlockIO } from '@refill/native-io';
import t from 'tap';

/** Runs rounds over two engines on one directory, of which the reading one is led astray after each read. */
async function rounds(t: Tap, astray: (io: BlockIO, read: number) => void): Promise<TwoMountCounts> {
  const root = t.testdir();
  const options = { root, arenaBytes: 2 * 1024 * 1024, lanes: { read: 1, write: 1 } };
  const [here, there] = [await createBlockIO(options), await createBlockIO(options)];
  t.teardown(() => Promise.all([here.stop(), there.stop()]));
  let reads = 0;
  const submit = there.submit.bind(there);
  there.submit = async (batch, lane) => {
    await submit(batch, lane);
    astray(there, reads++);
  };
  return writeHereReadThere(here, there, { rounds: 5, clock: systemClock, onProgress: () => undefined });
}

type Tap = { testdir(): string; teardown(work: () => unknown): unknown };

t.test('what was synced and is read at once is right', async (t) => {
  const counts = await rounds(t, () => undefined);
  t.match(counts, { rounds: 5, right: 5, late: 0, stale: 0, short: 0, failed: 0, wrong: 0 });
  t.equal(twoMountFinding('x', counts).level, 'ok');
});

t.test('bytes that come right only after a retry are late', async (t) => {
  const counts = await rounds(t, (io, read) => {
    if (read === 1) io.panes[0]![5000]! ^= 1;
  });
  t.match(counts, { rounds: 5, right: 4, late: 1, stale: 1, wrong: 0 });
  t.equal(twoMountFinding('x', counts).level, 'warn');
});

t.test('bytes that never come right fail', async (t) => {
  const counts = await rounds(t, (io) => io.panes[0]!.fill(0, 4096, 8192));
  t.match(counts, { rounds: 5, right: 0, late: 0, stale: 20, wrong: 5 });
  t.equal(twoMountFinding('x', counts).level, 'fail');
});
