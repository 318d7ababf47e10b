import { type Fingerprint, KEY_WORDS, RefillError } from '@refill/interface';
import type { Block } from './history.ts';
import { assertMeant } from './log.ts';
import type { NodeLife } from './store-host.ts';
import type { World } from './world.ts';

/** An operation of a client that has not ended. */
export interface Pending {
  readonly name: string;
  readonly life: NodeLife;
  readonly startMs: number;
  readonly pausedMs: number;
  readonly limitMs: number;
}

/** `openNamespace` waits for the service as long as a change does. */
const OPEN_LIMIT_MS = 45_000;

export function fingerprintOf(namespace: number): Fingerprint {
  return { name: `space-${namespace}`, model: 'm', dtype: 'float32', layout: 'l', tokensPerBlock: 16 };
}

/** Whether the client that asked is still there to hear the answer. */
export function hears({ process }: NodeLife): boolean {
  return process.state === 'running';
}

/**
 * Runs one operation of a client, which must end within `limitMs` of the time in which its process runs. `undefined`
 * when it was refused; what it throws beside refusals is reported.
 */
export async function perform<T>(
  world: World,
  life: NodeLife,
  name: string,
  limitMs: number,
  work: () => T | Promise<T>,
): Promise<T | undefined> {
  if (!hears(life)) return undefined;
  const startMs = world.timeline.nowMs();
  const pending = { name, life, startMs, pausedMs: life.process.pausedMs, limitMs };
  world.pending.add(pending);
  let result: T | undefined;
  let outcome: string;
  try {
    result = await work();
    outcome = String(result);
  } catch (error) {
    outcome = error instanceof RefillError ? error.code : 'error';
    if (hears(life)) assertMeant(`${life.process.name} ${name}`, error, world.report);
  }
  if (world.pending.delete(pending) && hears(life)) {
    world.trace.note(`${life.process.name} ${name}: ${outcome}`);
    checkTime(world, pending);
  }
  return result;
}

/** Guarantee 5. Also asked of operations that have not ended, after every step. */
export function checkTime(world: World, { name, life, startMs, pausedMs, limitMs }: Pending): boolean {
  const tookMs = world.timeline.nowMs() - startMs - (life.process.pausedMs - pausedMs);
  if (tookMs <= limitMs + 1) return true;
  world.report(`G5: ${name} on ${life.process.name} takes ${tookMs.toFixed(0)} ms, ${limitMs} are its bound`);
  return false;
}

/** Index of a namespace on this node, or `undefined` when it cannot be had. */
export function indexOf(world: World, life: NodeLife, namespace: number): Promise<number | undefined> {
  return perform(
    world,
    life,
    `open ${namespace}`,
    OPEN_LIMIT_MS,
    async () => (await life.session.openNamespace(fingerprintOf(namespace))).index,
  );
}

export function keysOf(blocks: readonly Block[]): Uint32Array {
  const keys = new Uint32Array(blocks.length * KEY_WORDS);
  for (const [i, { words }] of blocks.entries()) keys.set(words, i * KEY_WORDS);
  return keys;
}
