import { randomFillSync } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import {
  type BlockIO,
  createIoBatch,
  FILE_IDENTITY_BYTES,
  type FileId,
  IO_FLAG,
  IO_OP,
  IO_WORDS,
  type IoBatch,
  pushIo,
} from '@refill/interface';
import { CpuMeter } from './cpu-meter.ts';
import type { Sample } from './rounds.ts';
import type { BenchContext } from './scenario.ts';
import { Scratch } from './scratch.ts';
import { createBlockIO } from './sdk.ts';
import { BULK_DEADLINE_MS, sampleOf } from './stored-set.ts';
import { MIB } from './units.ts';

const BLOCK_BYTES = MIB;
const BATCH = 16;
const BATCHES_IN_FLIGHT = 2;
const ARENA_BYTES: number = BLOCK_BYTES * BATCH * BATCHES_IN_FLIGHT;

/** A file of blocks written with their checksums by the I/O layer in this process, to be read with or without them. */
export class VerifiedFile implements AsyncDisposable {
  readonly #scratch: Scratch;
  readonly #io: BlockIO;
  readonly #file: FileId;
  readonly #blocks: number;
  /** Two words a block. */
  readonly #checksums: Uint32Array;

  private constructor(scratch: Scratch, io: BlockIO, file: FileId, blocks: number) {
    this.#scratch = scratch;
    this.#io = io;
    this.#file = file;
    this.#blocks = blocks;
    this.#checksums = new Uint32Array(blocks * 2);
  }

  static async create(context: BenchContext): Promise<VerifiedFile> {
    const scratch = new Scratch(context, 'verified');
    const io = await createBlockIO({ root: scratch.dir, arenaBytes: ARENA_BYTES });
    try {
      const file = await io.open('blocks', {
        create: true,
        write: true,
        direct: true,
        sizeBytes: context.workingSetBytes,
        identity: new Uint8Array(FILE_IDENTITY_BYTES).fill(1),
      });
      randomFillSync(io.panes[0]!);
      const made = new VerifiedFile(scratch, io, file, context.workingSetBytes / BLOCK_BYTES);
      await made.#pass(IO_OP.write, IO_FLAG.checksum);
      return made;
    } catch (error) {
      await io.stop?.();
      scratch[Symbol.dispose]();
      throw error;
    }
  }

  /** Reads every block once. */
  async read(verify: boolean): Promise<Sample> {
    return await this.#pass(IO_OP.read, verify ? IO_FLAG.verify : 0);
  }

  async #pass(opcode: number, flags: number): Promise<Sample> {
    let next = 0;
    const latenciesUs: number[] = [];
    const cpu = new CpuMeter([]);
    const worker = async (lane: number): Promise<void> => {
      const batch = createIoBatch(BATCH);
      while (next < this.#blocks) {
        const first = next;
        next = Math.min(this.#blocks, first + BATCH);
        batch.count = 0;
        for (let block = first; block < next; block++) this.#push(batch, opcode, flags, block, lane);
        const began = performance.now();
        await this.#io.submit(batch, {
          lane: opcode === IO_OP.read ? 'read' : 'write',
          deadlineMs: BULK_DEADLINE_MS,
        });
        latenciesUs.push((performance.now() - began) * 1000);
        this.#settle(batch, opcode, first);
      }
    };
    const began = performance.now();
    await Promise.all(Array.from({ length: BATCHES_IN_FLIGHT }, (_, lane) => worker(lane)));
    const seconds = (performance.now() - began) / 1000;
    return sampleOf(this.#blocks * BLOCK_BYTES, seconds, cpu.seconds(), latenciesUs);
  }

  #push(batch: IoBatch, opcode: number, flags: number, block: number, lane: number): void {
    const slot = lane * BATCH + (block % BATCH);
    const [low, high] = [this.#checksums[block * 2]!, this.#checksums[block * 2 + 1]!];
    pushIo(
      batch,
      opcode,
      flags,
      this.#file,
      block * BLOCK_BYTES,
      0,
      slot * BLOCK_BYTES,
      BLOCK_BYTES,
      low,
      high,
    );
  }

  #settle(batch: IoBatch, opcode: number, first: number): void {
    for (let i = 0; i < batch.count; i++) {
      const at = i * IO_WORDS;
      const result = batch.words[at + 9]!;
      if (result !== BLOCK_BYTES) throw new Error(`block ${first + i} gave ${result}`);
      if (opcode === IO_OP.write)
        this.#checksums.set(batch.uwords.subarray(at + 10, at + 12), (first + i) * 2);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#io.close(this.#file);
    await this.#io.stop();
    this.#scratch[Symbol.dispose]();
  }
}
