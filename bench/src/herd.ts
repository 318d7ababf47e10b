import { readFileSync } from 'node:fs';
import type { BlockStore } from '@refill/interface';
import { absolute } from './compare.ts';
import type { Dataset } from './dataset.ts';
import type { BenchContext, Result, Scenario } from './scenario.ts';
import type { ServedNode } from './served-node.ts';
import { BULK_DEADLINE_MS, StoredSet } from './stored-set.ts';
import { MIB } from './units.ts';

const CLIENTS = 8;
const BLOCKS = 128;

/** Clients of one node that all ask for the same cold prefix at once: it is to be read once. */
export const herd: Scenario = {
  name: 'herd',
  title: 'Eight clients asking for the same cold prefix at once',
  async run(context: BenchContext): Promise<Result[]> {
    const { rounds } = context;
    const shape = { blockBytes: MIB, count: BLOCKS * rounds, chainBlocks: BLOCKS };
    using set = await StoredSet.create(context, 'herd', shape);
    await using node = await set.serve();
    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => node.connect()));
    try {
      let [byNode, byKernel] = [0, 0];
      for (let round = 0; round < rounds; round++) {
        const before = await readBytes(node);
        await Promise.all(clients.map((client) => readPrefix(client, set.dataset, round)));
        const after = await readBytes(node);
        byNode = Math.max(byNode, (after.node - before.node) / (BLOCKS * MIB));
        byKernel = Math.max(byKernel, (after.kernel - before.kernel) / (BLOCKS * MIB));
      }
      const row = { unit: 'x', note: `${BLOCKS} blocks of 1 MiB, largest of ${rounds} rounds` };
      return [
        absolute({ ...row, name: 'herd/bytes-read', target: '<= 1' }, byNode, rounds),
        absolute({ ...row, name: 'herd/bytes-read/kernel', target: '' }, byKernel, rounds),
      ];
    } finally {
      await Promise.all(clients.map((client) => client.close()));
    }
  },
};

async function readPrefix(client: BlockStore, dataset: Dataset, round: number): Promise<void> {
  const namespace = await client.namespace(dataset.fingerprint());
  const first = round * BLOCKS;
  const keys = Array.from({ length: BLOCKS }, (_, i) => dataset.key(first + i));
  using answer = await namespace.getMany(keys, { deadlineMs: BULK_DEADLINE_MS });
  for (const [i, view] of answer.views.entries()) {
    if (view === undefined) throw new Error(`block ${first + i} is missing: ${answer.missReason(i)}`);
    // Its number stands at the start of every page.
    const stamp = new DataView(view.bytes.buffer, view.bytes.byteOffset).getUint32(0, true);
    if (stamp !== first + i) throw new Error(`block ${first + i} has the bytes of ${stamp}`);
  }
}

/** Bytes that the node says it read from the file system, and that the kernel says it did. */
async function readBytes(node: ServedNode): Promise<{ node: number; kernel: number }> {
  const { reads } = await node.store.status({ deadlineMs: BULK_DEADLINE_MS });
  const [, kernel] = /^read_bytes: (\d+)$/m.exec(readFileSync(`/proc/${node.pid}/io`, 'utf8')) ?? [];
  return { node: reads.deviceBytes, kernel: Number(kernel) };
}
