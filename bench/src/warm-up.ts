import { Dataset, permutation } from './dataset.ts';
import { readBlocks } from './read-blocks.ts';
import type { ServedNode } from './served-node.ts';
import { BULK_DEADLINE_MS, putAll } from './stored-set.ts';

/**
 * A node serves for days, and V8 compiles its code during the first thousands of requests: with requests of 16 MiB that
 * is many times the working set, and the compiler's threads took half of the CPU that a gigabyte seemed to cost. So
 * every read that is timed comes after these requests: small blocks of their own, more than the arena holds, which
 * take the same way from the disk.
 */
const warmUpSet = new Dataset({ blockBytes: 4096, count: 64 * 1024, chainBlocks: 256, seed: 99 });
const PASSES = 2;

/** Lets the node answer some 8,000 cold requests of 16 keys. The first call on a root stores the blocks. */
export async function warmUp(node: ServedNode): Promise<void> {
  const namespace = await node.store.namespace(warmUpSet.fingerprint());
  const options = { deadlineMs: BULK_DEADLINE_MS };
  const [stored] = await namespace.exists([warmUpSet.key(warmUpSet.shape.count - 1)], options);
  if (!stored) await putAll(node, warmUpSet);
  for (let pass = 0; pass < PASSES; pass++) {
    const keys = warmUpSet.permuted(permutation(warmUpSet.shape.count, pass));
    await readBlocks(namespace, keys, { keysPerRequest: 16, inFlight: 4, ...options });
  }
}
