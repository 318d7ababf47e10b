import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { BlockStore } from '@refill/interface';
import type { Scratch } from './scratch.ts';
import { connect } from './sdk.ts';

const refill: string = fileURLToPath(new URL('../../packages/cli/bin/refill.js', import.meta.url));
const READY_MS = 120_000;
const STOP_MS = 30_000;

export interface ServeOptions {
  /** Where root and state go. */
  scratch: Scratch;
  arenaBytes: number;
  segmentBytes: number;
  /** One of several nodes of a scratch: its name, and what else makes it one. */
  member?: {
    name: string;
    root: string;
    args: readonly string[];
    within?: ((program: string, ...args: string[]) => [string, string[]]) | undefined;
  };
}

/** The command line of `refill serve`. */
function serveArguments(options: ServeOptions, root: string, state: string, socketPath: string): string[] {
  const { member } = options;
  return [
    'serve',
    ...['--root', member?.root ?? root],
    ...['--state', state],
    ...['--socket', socketPath],
    ...['--arena-bytes', String(options.arenaBytes)],
    ...['--segment-bytes', String(options.segmentBytes)],
    ...(member === undefined ? [] : ['--node', member.name, ...member.args]),
  ];
}

/** Processes that end with this one at the latest. */
export const living: Set<ChildProcess> = new Set();
// Before the directories go, or a node would write into them again.
process.prependListener('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});

/** Root and state of the node that serves a scratch. */
export function nodeDirectories(scratch: Scratch): { root: string; state: string } {
  return { root: join(scratch.dir, 'root'), state: join(scratch.stateDir, 'state') };
}

/** A real `refill serve` in a process of its own. Dispose stops it; its directories are the scratch's. */
export class ServedNode implements AsyncDisposable {
  readonly pid: number;
  /** From the start of the process until a client was connected. */
  readonly readyMs: number;
  readonly store: BlockStore;
  readonly socketPath: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, socketPath: string, store: BlockStore, readyMs: number) {
    this.#child = child;
    this.pid = child.pid!;
    this.socketPath = socketPath;
    this.store = store;
    this.readyMs = readyMs;
  }

  /** Runs `refill` with other arguments, for example `rebuild`. */
  static command(...args: string[]): readonly [program: string, args: string[]] {
    return [process.execPath, [refill, ...args]];
  }

  static async start(options: ServeOptions): Promise<ServedNode> {
    const { root, state: ownState } = nodeDirectories(options.scratch);
    const { stateDir } = options.scratch;
    const name = options.member?.name;
    const state = name === undefined ? ownState : `${ownState}-${name}`;
    const socketPath = join(stateDir, `${name ?? 'node'}.sock`);
    const logPath = join(stateDir, `${name ?? 'serve'}.log`);
    mkdirSync(state, { recursive: true });
    const log = openSync(logPath, 'a');
    const began = performance.now();
    const words = [process.execPath, refill, ...serveArguments(options, root, state, socketPath)] as const;
    const [program, args] = options.member?.within?.(...words) ?? [words[0], words.slice(1)];
    const child = spawn(program, args, { stdio: ['ignore', log, log] });
    closeSync(log);
    living.add(child);
    child.once('exit', () => living.delete(child));
    try {
      const store = await firstConnection(child, socketPath, logPath);
      return new ServedNode(child, socketPath, store, performance.now() - began);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  /** A further client of this process. */
  async connect(): Promise<BlockStore> {
    return await connect({ socketPath: this.socketPath, deadlineMs: READY_MS });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    await ended(this.#child);
  }
}

async function firstConnection(
  child: ChildProcess,
  socketPath: string,
  logPath: string,
): Promise<BlockStore> {
  const until = performance.now() + READY_MS;
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`refill serve ended with ${child.exitCode ?? child.signalCode}:\n${tail(logPath)}`);
    try {
      return await connect({ socketPath, deadlineMs: READY_MS });
    } catch (error) {
      if (performance.now() > until)
        throw new Error(`no connection in time:\n${tail(logPath)}`, { cause: error });
      await sleep(5);
    }
  }
}

export function tail(path: string): string {
  return readFileSync(path, 'utf8').split('\n').slice(-30).join('\n');
}

/** Asks a process to end and waits until it has. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await exit;
  clearTimeout(timer);
}
