import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Scratch } from './scratch.ts';
import { ended, living, ServedNode, tail } from './served-node.ts';

const READY_MS = 180_000;

/** Where a member sees the root, and the host that it runs on; the first place is also the metadata service's. */
export interface MemberPlace {
  root: string;
  host?: { address: string; within(program: string, ...args: string[]): [string, string[]] } | undefined;
}

export interface BenchClusterOptions {
  scratch: Scratch;
  /** One node each. */
  places: readonly MemberPlace[];
  arenaBytes: number;
  segmentBytes: number;
}

/** A metadata service and nodes, each a process of its own, over one root. */
export class BenchCluster implements AsyncDisposable {
  readonly nodes: ServedNode[] = [];
  readonly #options: BenchClusterOptions;
  readonly #secretFile: string;
  #service: ChildProcess | undefined;

  private constructor(options: BenchClusterOptions) {
    this.#options = options;
    this.#secretFile = join(options.scratch.stateDir, 'secret');
    writeFileSync(this.#secretFile, randomBytes(32).toString('hex'), { mode: 0o600 });
  }

  static async start(options: BenchClusterOptions): Promise<BenchCluster> {
    const cluster = new BenchCluster(options);
    try {
      await cluster.startService();
      for (const [i, place] of options.places.entries()) await cluster.#startNode(i, place);
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  get service(): ChildProcess {
    return this.#service!;
  }

  /** Starts the metadata service, or starts it again; answers when nodes can join. */
  async startService(): Promise<void> {
    const { scratch, places } = this.#options;
    const [place] = places as [MemberPlace];
    const [program, args] = ServedNode.command(
      'metadata',
      ...['--root', place.root],
      ...['--state', join(scratch.stateDir, 'state-metadata')],
      ...this.#common(place),
    );
    mkdirSync(join(scratch.stateDir, 'state-metadata'), { recursive: true });
    const logPath = join(scratch.stateDir, 'metadata.log');
    const log = openSync(logPath, 'w');
    const [name, all] = place.host?.within(program, ...args) ?? [program, args];
    const child = spawn(name, all, { stdio: ['ignore', log, log] });
    closeSync(log);
    living.add(child);
    child.once('exit', () => living.delete(child));
    this.#service = child;
    const endsAtMs = performance.now() + READY_MS;
    while (!readFileSync(logPath, 'utf8').includes('refill: ready')) {
      if (child.exitCode !== null || performance.now() > endsAtMs)
        throw new Error(`refill metadata did not come up:\n${tail(logPath)}`);
      await sleep(10);
    }
  }

  async #startNode(number: number, place: MemberPlace): Promise<void> {
    const { scratch, arenaBytes, segmentBytes } = this.#options;
    const args = ['--metadata', 'auto', ...this.#common(place)];
    const member = { name: `n${number}`, root: place.root, args, within: place.host?.within };
    this.nodes.push(await ServedNode.start({ scratch, arenaBytes, segmentBytes, member }));
  }

  #common({ host }: MemberPlace): string[] {
    return ['--secret-file', this.#secretFile, ...(host ? ['--listen', `${host.address}:0`] : [])];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes.splice(0)) await node[Symbol.asyncDispose]();
    this.#service?.kill('SIGCONT');
    if (this.#service !== undefined) await ended(this.#service);
  }
}
