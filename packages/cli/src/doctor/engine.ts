import type { IoReport } from '@refill/interface';
import { formatSize } from '../config/size.ts';
import type { Finding } from './finding.ts';

/** What the I/O engine found when it was started on the directory, and what it will therefore use. */
export function describeEngine(io: IoReport): Finding[] {
  const uring = io.engine === 'io_uring';
  return [
    {
      name: 'engine',
      level: uring ? 'ok' : 'warn',
      found: uring
        ? `io_uring${io.kernelFlags.length > 0 ? ` with ${io.kernelFlags.join(', ')}` : ''}`
        : `threads: ${io.engineReason ?? 'asked for'}`,
      ...(uring
        ? {}
        : {
            advice:
              'Allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile of the container',
          }),
      figures: { engine: io.engine },
    },
    {
      name: 'O_DIRECT',
      level: io.direct ? 'ok' : 'warn',
      found: io.direct
        ? `works, aligned to ${formatSize(io.alignmentBytes)} (${io.alignmentSource})`
        : `not used: ${io.directReason ?? 'refused'}`,
      ...(io.direct
        ? {}
        : { advice: 'Reads and writes go through the page cache, dropped by posix_fadvise' }),
      figures: { direct: io.direct, alignmentBytes: io.alignmentBytes, alignmentSource: io.alignmentSource },
    },
    {
      name: 'arena pages',
      level: io.arenaPageBytes > 4096 ? 'ok' : 'warn',
      found: `${formatSize(io.arenaPageBytes)}${io.arenaPagesBy === 'none' ? '' : ` by ${io.arenaPagesBy}`}`,
      ...(io.arenaPageBytes > 4096
        ? {}
        : { advice: 'Small pages cost up to two thirds of the bandwidth; see huge pages below' }),
      figures: { arenaPageBytes: io.arenaPageBytes, arenaPagesBy: io.arenaPagesBy },
    },
    {
      name: 'checksums',
      level: 'ok',
      found: `CRC-64/NVME by ${io.checksumBy}`,
      figures: { by: io.checksumBy },
    },
  ];
}
