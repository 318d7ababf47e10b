import { native } from './native.ts';

/** What crosses to a worker: a call to the queue of its lane, or to let go of what was closed. */
export interface LaneTask {
  kind: 'batches' | 'sweep';
  instance: number;
  lane: number;
  inflightBytes: number;
  inflightBytesBehindReads: number;
}

/** A worker that is out of batches waits this long for one: far more than a client takes between two requests. */
const LINGER_MICROS = 2_000;

/** A worker's whole work: one synchronous call a batch, on the ring of this thread. */
export default function runLaneTask(task: LaneTask): void {
  const { instance, lane, inflightBytes, inflightBytesBehindReads } = task;
  if (task.kind === 'sweep') native.sweep(instance, lane);
  // Back in JavaScript between any two batches, so that the thread can be ended.
  else while (native.runBatches(instance, lane, inflightBytes, inflightBytesBehindReads, LINGER_MICROS));
}
