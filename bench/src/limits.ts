import { absolute } from './compare.ts';
import { LimitFile, nativeSample } from './rivals.ts';
import { inTurn, medianSample, type Sample } from './rounds.ts';
import type { BenchContext, Result, Scenario } from './scenario.ts';
import { Scratch } from './scratch.ts';
import { GIB, KIB, MIB } from './units.ts';

/** What the machine itself gives, so that ratios measured elsewhere can be judged. Needs no node. */
export const limits: Scenario = {
  name: 'limits',
  title: 'Limits of this machine',
  async run(context: BenchContext): Promise<Result[]> {
    using file = await LimitFile.create(context);
    const gigabytes = await inTurn(context.rounds, {
      'limits/read/1MiB': () => file.read(MIB, 4, 'seq', 0),
      'limits/read/64KiB': (round) => file.read(64 * KIB, 16, 'random', round),
      'limits/write/1MiB': () => write(context, MIB, 4),
      'limits/write/64KiB': () => write(context, 64 * KIB, 16),
      'limits/overwrite/1MiB': () => file.overwrite(MIB, 4),
      'limits/memcpy/4MiB': async () =>
        nativeSample(await context.native('memcpy_bw', { block: 4 * MIB, bytes: 2 * GIB })),
    });
    const ping = await inTurn(context.rounds, {
      'limits/ping/two-cores': () => roundTrip(context, 'two'),
      'limits/ping/any-core': () => roundTrip(context, 'any'),
    });
    return [...rows(gigabytes, 'GB/s'), ...rows(ping, 'us')];
  },
};

function rows(lanes: Record<string, Sample[]>, unit: string): Result[] {
  return Object.entries(lanes).map(([name, samples]) => {
    const sample = medianSample(samples);
    const depth = name.startsWith('limits/read') || name.includes('write') ? depthNote(name) : {};
    return absolute({ name, unit, target: '', ...depth }, sample.value, samples.length, sample);
  });
}

function depthNote(name: string): { note: string } {
  return { note: name.endsWith('64KiB') ? 'io_uring, depth 16' : 'io_uring, depth 4' };
}

/** Into new files sized by `ftruncate`, as segments are. */
async function write(context: BenchContext, bs: number, qd: number): Promise<Sample> {
  using scratch = new Scratch(context, 'write');
  const { workingSetBytes: bytes, segmentBytes: segment } = context;
  const job = { file: `${scratch.dir}/segment`, op: 'write', bs, qd, bytes, segment };
  return nativeSample(await context.native('uring_io', job));
}

async function roundTrip(context: BenchContext, cores: 'two' | 'any'): Promise<Sample> {
  const { p50Us, p99Us } = await context.native('socket_ping', { count: 20_000, cores });
  return { value: Number(p50Us), p50Us: Number(p50Us), p99Us: Number(p99Us) };
}
