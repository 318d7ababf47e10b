import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { RECEIVE_ROW, RECEIVE_ROW_WORDS, RECEIVE_STATUS } from '@refill/interface';
import { createBlockIO, createPeerTransport, type TcpPeerTransport } from '@refill/native-io';
import { absolute, compared } from './compare.ts';
import { CpuMeter } from './cpu-meter.ts';
import { peerIdentity } from './peer-identity.ts';
import { nativeSample } from './rivals.ts';
import { inTurn, median, type Sample } from './rounds.ts';
import type { BenchContext, NativeOutput, Result, Scenario } from './scenario.ts';
import { Scratch } from './scratch.ts';
import { sampleOf } from './stored-set.ts';
import { GIB, KIB, MIB } from './units.ts';

const program: string = fileURLToPath(new URL('./peer-sender-process.js', import.meta.url));
/** Far above the processor's caches; 4,096 of the smallest blocks. */
const ARENA_BYTES = 256 * MIB;
const PASSES = 4;
const DEADLINE_MS = 30_000;

/** Size of the blocks, how many a call asks for (64 MiB in every case), and what shall be reached. */
const CASES = [
  { name: '4MiB', blockBytes: 4 * MIB, blocks: 16, target: '>= 0.85' },
  { name: '1MiB', blockBytes: MIB, blocks: 64, target: '' },
  { name: '64KiB', blockBytes: 64 * KIB, blocks: 1024, target: '' },
] as const;

/** CPU seconds a gigabyte of each side. */
interface Sides {
  sender: number;
  receiver: number;
}

/** Blocks out of another process's arena into this one's, verified, against plain C over the same kind of socket. */
export const peerRead: Scenario = {
  name: 'peer-read',
  title: 'Blocks from a peer’s memory over loopback TCP, verified',
  async run(context: BenchContext): Promise<Result[]> {
    using scratch = new Scratch(context, 'peer');
    const child = fork(program, [scratch.dir, String(ARENA_BYTES)]);
    const [{ address, congestion }] = (await once(child, 'message')) as [
      { address: string; congestion: string },
    ];
    const io = await createBlockIO({
      root: scratch.dir,
      arenaBytes: ARENA_BYTES,
      lanes: { read: 1, write: 1 },
    });
    const transport = createPeerTransport({ io, host: '127.0.0.1' });
    await transport.start();
    const results: Result[] = [];
    try {
      for (const { name, blockBytes, blocks, target } of CASES) {
        const ours: Sides[] = [];
        const theirs: Sides[] = [];
        const lanes = await inTurn(context.rounds, {
          c: async () => {
            const output = await context.native('tcp_copy', {
              block: blockBytes,
              source: ARENA_BYTES,
              bytes: GIB,
            });
            theirs.push(sidesOf(output));
            return nativeSample(output);
          },
          peer: () => timed({ child, transport, address, blockBytes, blocks }, ours),
        });
        const row = {
          unit: 'GB/s',
          target,
          note: `congestion control ${congestion}, one connection, 64 MiB a call`,
        };
        results.push(
          compared(
            { ...row, name: `peer-read/${name}`, against: `plain C send and recv of ${name}, not verified` },
            lanes.peer,
            lanes.c,
          ),
          side(name, 'sender', ours, theirs),
          side(name, 'receiver', ours, theirs),
        );
      }
    } finally {
      await transport.stop();
      await io.stop();
      child.disconnect();
      await once(child, 'exit');
    }
    return results;
  },
};

interface Job {
  child: ChildProcess;
  transport: TcpPeerTransport;
  address: string;
  blockBytes: number;
  blocks: number;
}

/** Several passes over the peer's arena, each with a ticket of its own, so that nothing is summed beforehand. */
async function timed(
  { child, transport, address, blockBytes, blocks }: Job,
  sides: Sides[],
): Promise<Sample> {
  const tickets: Uint8Array[] = [];
  for (let pass = 0; pass < PASSES; pass++) {
    child.send(blockBytes);
    const [ticket] = await once(child, 'message');
    tickets.push(Buffer.from(ticket, 'hex'));
  }
  const rows = new Uint32Array(blocks * RECEIVE_ROW_WORDS);
  const latenciesUs: number[] = [];
  const cpu = new CpuMeter([child.pid!]);
  const own = process.cpuUsage();
  const began = performance.now();
  for (const ticket of tickets) {
    for (let first = 0; first < ARENA_BYTES / blockBytes; first += blocks) {
      fillRows(rows, first, blocks, blockBytes);
      const at = performance.now();
      await transport.receive(address, ticket, rows, blocks, DEADLINE_MS);
      latenciesUs.push((performance.now() - at) * 1000);
      for (let i = 0; i < blocks; i++) {
        const status = rows[i * RECEIVE_ROW_WORDS + RECEIVE_ROW.status];
        if (status !== RECEIVE_STATUS.done) throw new Error(`block ${first + i} came with status ${status}`);
      }
    }
  }
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(own);
  const total = cpu.seconds();
  const bytes = ARENA_BYTES * PASSES;
  const receiver = (user + system) / 1e6;
  sides.push({ sender: ((total - receiver) / bytes) * 1e9, receiver: (receiver / bytes) * 1e9 });
  return sampleOf(bytes, seconds, total, latenciesUs);
}

function fillRows(rows: Uint32Array, first: number, blocks: number, blockBytes: number): void {
  for (let i = 0; i < blocks; i++) {
    const at = i * RECEIVE_ROW_WORDS;
    peerIdentity(first + i, rows, at);
    rows[at + RECEIVE_ROW.index] = first + i;
    rows[at + RECEIVE_ROW.lengthBytes] = blockBytes;
    rows[at + RECEIVE_ROW.bufferOffsetLo] = (first + i) * blockBytes;
  }
}

function sidesOf(output: NativeOutput): Sides {
  return {
    sender: Number(output.senderCpuSecondsPerGigabyte),
    receiver: Number(output.receiverCpuSecondsPerGigabyte),
  };
}

function side(name: string, which: keyof Sides, ours: readonly Sides[], theirs: readonly Sides[]): Result {
  const note = `plain C, not verified: ${median(theirs.map((sides) => sides[which])).toFixed(3)} s/GB`;
  const row = { name: `peer-read/${name}/${which}-cpu`, unit: 's/GB', target: '', note };
  return absolute(row, median(ours.map((sides) => sides[which])), ours.length);
}
