import { KEY_WORDS } from '@refill/interface';
import { KNOWN_GAPS } from './faults.ts';
import type { NodeLife } from './store-host.ts';
import type { World } from './world.ts';

export type PutOutcome =
  | 'pending'
  | 'stored'
  | 'exists'
  | 'noRoom'
  | 'failed'
  | 'late'
  /** Another put came first, or it was given up: its bytes were never to be seen. */
  | 'refused'
  | 'aborted'
  | 'error';

/** One attempt to put a block; its bytes are like no other's. */
export interface Version {
  readonly serial: number;
  readonly block: Block;
  readonly bytes: Uint8Array;
  readonly life: NodeLife;
  readonly durability: 'memory' | 'shared';
  readonly startMs: number;
  committedMs: number;
  endMs: number;
  outcome: PutOutcome;
  /** Since when nothing of it is on its way any more. */
  settledMs: number;
  /** A flush that may have told of its loss has answered. */
  isForgotten: boolean;
}

export interface Deletion {
  readonly life: NodeLife;
  readonly startMs: number;
  /** `Infinity` while it runs and when it failed: then it may happen at any time. */
  endMs: number;
  /** It was acknowledged. */
  isDone: boolean;
}

/** What was promised for a key: some version put by then is there until it is deleted. */
export interface Ack {
  readonly startMs: number;
  readonly endMs: number;
  readonly version: Version | undefined;
}

/** One key of one namespace, and all that clients did to it. */
export interface Block {
  readonly namespace: number;
  readonly key: number;
  readonly words: Uint32Array;
  readonly versions: Version[];
  readonly deletions: Deletion[];
  readonly acks: Ack[];
  /** It raced, or was deleted, before a rebuild: see `KNOWN_GAPS`. */
  isReordered: boolean;
  /** What the directory named when it was last looked at. */
  seen: Version | undefined;
}

/** Of puts that left nothing in a segment. */
const UNWRITTEN: ReadonlySet<PutOutcome> = new Set(['refused', 'aborted', 'noRoom']);
const HEAD_WORDS = 2;
const MAGIC = 0x5ef1115e;

export class History {
  readonly blocks: readonly Block[];
  readonly #world: World;
  readonly #versions: Version[] = [];
  wasRebuilt = false;

  constructor(world: World) {
    this.#world = world;
    const { namespaces, keys } = world.plan;
    this.blocks = Array.from({ length: namespaces * keys }, (_, i) => ({
      namespace: Math.floor(i / keys),
      key: i % keys,
      words: keyWords(i % keys),
      versions: [],
      deletions: [],
      acks: [],
      isReordered: false,
      seen: undefined,
    }));
  }

  block(namespace: number, key: number): Block {
    return this.blocks[namespace * this.#world.plan.keys + key]!;
  }

  begin(block: Block, life: NodeLife, durability: 'memory' | 'shared'): Version {
    const serial = this.#versions.length + 1;
    // No two versions of a key are of one length: where lengths differ a reader sees that its copy is another's.
    const lengthBytes = 100 + 37 * serial + (serial % 4 === 0 ? 4096 : 0);
    const startMs = this.#world.timeline.nowMs();
    const version: Version = {
      ...{ serial, block, life, durability, startMs },
      bytes: payload(serial, lengthBytes),
      committedMs: Number.POSITIVE_INFINITY,
      endMs: Number.POSITIVE_INFINITY,
      outcome: 'pending',
      settledMs: Number.POSITIVE_INFINITY,
      isForgotten: false,
    };
    this.#versions.push(version);
    block.versions.push(version);
    return version;
  }

  /** The outcome of a put. */
  end(version: Version, outcome: PutOutcome): void {
    const { durability, block } = version;
    version.outcome = outcome;
    version.endMs = this.#world.timeline.nowMs();
    const isDurable = durability === 'shared' && outcome === 'stored';
    const isOver = outcome === 'refused' || outcome === 'aborted' || outcome === 'noRoom' || isDurable;
    if (isOver) version.settledMs = version.endMs;
    if (!isDurable) return;
    const first = block.acks.find(({ version: other }) => other !== undefined && other !== version);
    // First complete write wins: of two that were both first, one was deleted in between.
    if (first !== undefined && !mayBeDeleted(block, first.startMs))
      this.#world.report(
        `G3: ${nameOf(block)} was stored as ${first.version!.serial} and as ${version.serial}`,
      );
    block.acks.push({ startMs: version.startMs, endMs: version.endMs, version });
  }

  /** A flush of this life answered `0`: what it had committed to memory by then is stored. */
  flushed(life: NodeLife, startMs: number, isAllStored: boolean): void {
    for (const version of this.#versions) {
      if (version.life !== life || version.durability !== 'memory' || version.outcome !== 'stored') continue;
      if (version.endMs > startMs || version.isForgotten) continue;
      if (isAllStored) {
        version.settledMs = this.#world.timeline.nowMs();
        version.block.acks.push({ startMs: version.startMs, endMs: startMs, version: undefined });
      }
      version.isForgotten = true;
    }
  }

  /** The directory is another now: what it named before says nothing. */
  rebuilt(): void {
    this.wasRebuilt = true;
    for (const block of this.blocks) {
      block.seen = undefined;
      const attempts = block.versions.filter(({ outcome }) => !UNWRITTEN.has(outcome)).length;
      if (KNOWN_GAPS.rebuildReorders && (attempts > 1 || block.deletions.length > 0))
        block.isReordered = true;
    }
  }

  /** The version of which these are all the bytes, or `undefined`. */
  versionOf(block: Block, bytes: Uint8Array): Version | undefined {
    if (bytes.length < 4 * HEAD_WORDS) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const version = this.#versions[view.getUint32(0, true) - 1];
    if (version === undefined || version.block !== block) return undefined;
    return Buffer.compare(version.bytes, bytes) === 0 ? version : undefined;
  }
}

/** Whether any deletion may have taken what was put from `sinceMs` on. */
export function mayBeDeleted({ deletions, isReordered }: Block, sinceMs: number): boolean {
  return isReordered || deletions.some(({ endMs }) => endMs >= sinceMs);
}

/** Whether a deletion that was acknowledged by `byMs` buried this version for good. */
export function isBuried(version: Version, byMs: number, by: (deletion: Deletion) => boolean): boolean {
  if (KNOWN_GAPS.rebuildRevives && version.block.isReordered) return false;
  return version.block.deletions.some(
    (deletion) =>
      deletion.isDone && deletion.endMs <= byMs && version.settledMs <= deletion.startMs && by(deletion),
  );
}

export function nameOf({ namespace, key }: Block): string {
  return `key ${key} of namespace ${namespace}`;
}

function keyWords(key: number): Uint32Array {
  return Uint32Array.from(
    { length: KEY_WORDS },
    (_, word) => Math.imul(key + 1, 0x9e3779b1 + word * 2) >>> 0,
  );
}

function payload(serial: number, lengthBytes: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(lengthBytes / 4));
  words[0] = serial;
  words[1] = MAGIC;
  let mixed = Math.imul(serial, 0x9e3779b1);
  for (let i = HEAD_WORDS; i < words.length; i++) {
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d) + i;
    words[i] = mixed;
  }
  return new Uint8Array(words.buffer, 0, lengthBytes);
}
