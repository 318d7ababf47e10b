import { join } from 'node:path';
import type { Sample } from './rounds.ts';
import type { BenchContext, NativeOutput } from './scenario.ts';
import { Scratch } from './scratch.ts';
import { MIB } from './units.ts';

/** The sample of a native program that moved bytes. */
export function nativeSample(output: NativeOutput): Sample {
  const number = (name: string): number => Number(output[name]);
  return {
    value: number('gigabytesPerSecond'),
    cpuSecondsPerGigabyte: number('cpuSecondsPerGigabyte'),
    p50Us: number('p50Us'),
    p99Us: number('p99Us'),
    pages: String(output.pages),
  };
}

/** A file of random bytes for the rivals that read, written into a file sized by `ftruncate` like a segment. */
export class LimitFile implements Disposable {
  readonly path: string;
  readonly bytes: number;
  readonly #scratch: Scratch;
  readonly #context: BenchContext;

  private constructor(context: BenchContext) {
    this.#context = context;
    this.#scratch = new Scratch(context, 'limit');
    this.path = join(this.#scratch.dir, 'limit.bin');
    this.bytes = context.workingSetBytes;
  }

  static async create(context: BenchContext): Promise<LimitFile> {
    const file = new LimitFile(context);
    await context.native('uring_io', { file: file.path, op: 'write', bs: MIB, qd: 8, bytes: file.bytes });
    return file;
  }

  /** One io_uring pass over the file. */
  async read(blockBytes: number, depth: number, order: 'seq' | 'random', seed: number): Promise<Sample> {
    const job = {
      file: this.path,
      op: 'read',
      bs: blockBytes,
      qd: depth,
      bytes: this.bytes,
      order,
      seed: seed + 1,
    };
    return nativeSample(await this.#context.native('uring_io', job));
  }

  /** One io_uring pass that writes over the file's blocks. */
  async overwrite(blockBytes: number, depth: number): Promise<Sample> {
    const job = { file: this.path, op: 'write', bs: blockBytes, qd: depth, bytes: this.bytes };
    return nativeSample(await this.#context.native('uring_io', job));
  }

  [Symbol.dispose](): void {
    this.#scratch[Symbol.dispose]();
  }
}
