import { native } from './native.ts';

/** What crosses to a worker. `slot` of `claims` says who has the batch: the worker or its deadline. */
export interface LaneTask {
  kind: 'batch' | 'sweep';
  instance: number;
  lane: number;
  words: Int32Array;
  count: number;
  startedMicros: number;
  deadlineMicros: number;
  inflightBytes: number;
  inflightBytesBehindReads: number;
  claims: Int32Array;
  slot: number;
}

/** Values of a claim. */
export const CLAIM = { open: 0, worker: 1, expired: 2 } as const;

/** A worker's whole work: one synchronous call a batch, on the ring of this thread. Returns 0 or minus errno. */
export default function runLaneTask(task: LaneTask): number {
  if (task.kind === 'sweep') {
    native.sweep(task.instance, task.lane);
    return 0;
  }
  if (Atomics.compareExchange(task.claims, task.slot, CLAIM.open, CLAIM.worker) !== CLAIM.open) return 0;
  return native.runBatch(
    task.instance,
    task.lane,
    task.words,
    task.count,
    task.startedMicros,
    task.deadlineMicros,
    task.inflightBytes,
    task.inflightBytesBehindReads,
  );
}
