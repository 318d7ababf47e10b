/**
 * A second client in a process of its own that writes behind as fast as the node takes it: reserves room, fills none
 * of it beyond a number a page (an engine's GPU would, without our CPU) and commits with durability `memory`.
 * Started by `background-writer.ts` with the socket's path and a seed; ends when it is told to.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Dataset } from './dataset.ts';
import { connect } from './sdk.ts';
import { BULK_DEADLINE_MS } from './stored-set.ts';
import { MIB } from './units.ts';

const BLOCKS = 8;
const COUNT = 1 << 16;

const [socketPath = '', seed = '1'] = process.argv.slice(2);
let running = true;
process.on('message', () => {
  running = false;
});

const store = await connect({ socketPath, deadlineMs: BULK_DEADLINE_MS });
const dataset = new Dataset({ blockBytes: MIB, count: COUNT, chainBlocks: 64, seed: Number(seed) });
const namespace = await store.namespace({ ...dataset.fingerprint(), name: 'bench-writer' });
process.send?.('ready');
for (let first = 0; running && first < COUNT; first += BLOCKS) {
  const blocks = Array.from({ length: BLOCKS }, (_, i) => {
    const parent = dataset.parent(first + i);
    return { key: dataset.key(first + i), lengthBytes: MIB, ...(parent && { parent }) };
  });
  try {
    const reservations = await namespace.reserveMany(blocks, { deadlineMs: BULK_DEADLINE_MS });
    await Promise.all(
      reservations.map((reservation, i) => {
        reservation?.bytes.fill(i, 0, 8);
        return reservation?.commit({ durability: 'memory' });
      }),
    );
  } catch (error) {
    // Write-behind holds the whole arena: the writer is as fast as the disk, which is what is wanted.
    if ((error as { code?: string }).code !== 'ERR_ARENA_FULL') throw error;
    await sleep(2);
  }
}
await store.close();
process.disconnect?.();
