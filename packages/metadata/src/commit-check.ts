import { BLOCK_FLAG, COMMIT_ROW, COMMIT_ROW_WORDS, invariant, RefillError } from '@refill/interface';
import type { Catalogue } from './catalogue.ts';

/** `ERR_FENCED` unless `epoch` is the node's current one. */
export function assertEpoch(catalogue: Catalogue, node: string, epoch: number): void {
  const current = catalogue.epochs.get(node);
  if (current === epoch) return;
  throw new RefillError('ERR_FENCED', `epoch ${epoch} of node ${node} is not its current one, ${current}`);
}

/** `ERR_FENCED` unless every row is of a segment that this node, under this epoch or an earlier one, may commit to. */
export function assertCommit(
  catalogue: Catalogue,
  node: string,
  epoch: number,
  rows: Uint32Array,
  count: number,
): void {
  assertEpoch(catalogue, node, epoch);
  for (let i = 0; i < count; i++) {
    const at = i * COMMIT_ROW_WORDS;
    const index = rows[at + COMMIT_ROW.segment]!;
    const segment = catalogue.segments.get(index);
    if (segment === undefined || segment.node !== node || segment.epoch > epoch || segment.state === 'dead') {
      const what =
        segment === undefined ? 'unknown' : `${segment.state}, of ${segment.node}:${segment.epoch}`;
      throw new RefillError(
        'ERR_FENCED',
        `segment ${index} takes no commit of ${node}:${epoch}: it is ${what}`,
      );
    }
    invariant(
      segment.namespace === rows[at + COMMIT_ROW.namespace],
      'a block is of the namespace of its segment',
    );
    invariant(
      (rows[at + COMMIT_ROW.flags]! & BLOCK_FLAG.tombstone) === 0,
      'a tombstone is removed, not committed',
    );
  }
}
