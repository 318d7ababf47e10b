import { type BlockIO, type Clock, IO_BATCH_OPS_MAX } from '@refill/interface';
import type { Scratch } from '../shared-tier.ts';
import { IoBatches } from './io-batches.ts';
import { ScratchLease } from './scratch-lease.ts';
import type { ScanParts } from './segment-scan.ts';

/** Runs `work` with what a scan needs; memory that timed out is given back also when the kernel is late. */
export async function withScanParts<T>(
  parts: { io: BlockIO; clock: Clock; scratch: Scratch },
  deadlineMs: number,
  work: (scan: ScanParts) => Promise<T>,
): Promise<T> {
  const { io, clock } = parts;
  const lease = new ScratchLease(parts.scratch, clock);
  const before = io.onRelease;
  io.onRelease = (buffer, bufferOffset, length) => {
    if (buffer === 0) lease.released(bufferOffset);
    before?.(buffer, bufferOffset, length);
  };
  return await work({ io, clock, lease, batches: new IoBatches(IO_BATCH_OPS_MAX), deadlineMs });
}
