import { ENTRY_NONE, KEY_WORDS, LOCATION_ROW, LOCATION_ROW_WORDS, RefillError } from '@refill/interface';
import { hex } from '../catalogue.ts';
import { MESSAGE } from '../protocol/message.ts';
import type { LastCheckpoint } from './last-checkpoint.ts';
import type { LocationCache } from './location-cache.ts';
import type { ServiceLink } from './service-link.ts';

/** Keys of one request: enough to share its cost, few enough that several are under way for a long prompt. */
export const LOOKUP_KEYS = 2048;

export interface FindParts {
  link: ServiceLink;
  cache: LocationCache;
  checkpoint: LastCheckpoint;
}

/**
 * Where blocks are, as a node answers it: from its cache at once; else the service, in several requests at a time;
 * and while that is away the last checkpoint. Never rejects because the service is away: what nobody knows is a miss.
 */
export class FindRemote {
  readonly #parts: FindParts;
  readonly #lookupMs: number;
  readonly #isReadable: (segment: number) => boolean;
  #missing = new Int32Array(1024);

  constructor(parts: FindParts, options: { lookupMs: number }) {
    this.#parts = parts;
    this.#lookupMs = options.lookupMs;
    this.#isReadable = (segment) => parts.link.replica.isReadable(segment);
  }

  lookup(namespace: number, keys: Uint32Array, count: number, rows: Uint32Array): void | Promise<void> {
    if (this.#missing.length < count) this.#missing = new Int32Array(count);
    const { cache } = this.#parts;
    const missed = cache.locate(namespace, keys, count, rows, this.#missing, this.#isReadable);
    if (missed === 0) return;
    return this.#ask(namespace, keys, this.#missing.slice(0, missed), rows);
  }

  matchPrefix(namespace: number, keys: Uint32Array, count: number): number | Promise<number> {
    if (count === 0) return 0;
    const { cache } = this.#parts;
    const missed = cache.locate(namespace, keys, count, undefined, this.#missing, this.#isReadable, true);
    return missed === 0 ? count : this.#askPrefix(namespace, keys, count, this.#missing[0]!);
  }

  async #ask(namespace: number, keys: Uint32Array, missing: Int32Array, rows: Uint32Array): Promise<void> {
    if (missing.length <= LOOKUP_KEYS) return this.#askPart(namespace, keys, missing, rows);
    const parts: Promise<void>[] = [];
    for (let from = 0; from < missing.length; from += LOOKUP_KEYS) {
      parts.push(this.#askPart(namespace, keys, missing.subarray(from, from + LOOKUP_KEYS), rows));
    }
    await Promise.all(parts);
  }

  async #askPart(
    namespace: number,
    keys: Uint32Array,
    missing: Int32Array,
    rows: Uint32Array,
  ): Promise<void> {
    const { link, cache, checkpoint } = this.#parts;
    const count = missing.length;
    const isSame = this.#meaningOf(namespace);
    // Once more when the directory was made anew meanwhile: the second answer is of the new one.
    for (let attempt = 0; attempt < 2 && !link.isAway && isSame(); attempt++) {
      try {
        const { body, now, isVoid } = await link.request(
          MESSAGE.lookup,
          (writer) =>
            pack(
              writer
                .word(namespace)
                .word(count)
                .room(count * KEY_WORDS),
              keys,
              missing,
            ),
          this.#lookupMs,
          { capacity: 2 + count * KEY_WORDS },
        );
        if (isVoid) continue;
        const found = body.words(count * LOCATION_ROW_WORDS);
        const mayCache = link.mayCache(now);
        for (let i = 0; i < count; i++) {
          const to = missing[i]! * LOCATION_ROW_WORDS;
          const from = i * LOCATION_ROW_WORDS;
          for (let word = 0; word < LOCATION_ROW_WORDS; word++) rows[to + word] = found[from + word]!;
          if (mayCache) cache.add(namespace, keys, missing[i]!, found, i);
        }
        checkpoint.release();
        return;
      } catch (error) {
        if (!(error instanceof RefillError) || !AWAY.has(error.code)) throw error;
      }
    }
    await this.#fromCheckpoint(namespace, keys, missing, rows, isSame);
  }

  /** Whether the index still means the namespace that it means now; one that is not known yet may mean any. */
  #meaningOf(namespace: number): () => boolean {
    const { link } = this.#parts;
    const id = link.replica.namespaces.get(namespace)?.id;
    return () => {
      const { replica } = link;
      const now = replica.namespaces.get(namespace)?.id;
      if (id === undefined || now === undefined) return id === now && !replica.isVoid(namespace);
      return hex(id) === hex(now);
    };
  }

  async #askPrefix(namespace: number, keys: Uint32Array, count: number, from: number): Promise<number> {
    const { link } = this.#parts;
    const isSame = this.#meaningOf(namespace);
    for (let attempt = 0; attempt < 2 && !link.isAway && isSame(); attempt++) {
      try {
        const { body, isVoid } = await link.request(
          MESSAGE.matchPrefix,
          (writer) =>
            writer
              .word(namespace)
              .word(count - from)
              .words(keys.subarray(from * KEY_WORDS, count * KEY_WORDS)),
          this.#lookupMs,
          { capacity: 2 + (count - from) * KEY_WORDS },
        );
        if (!isVoid) return from + body.word();
      } catch (error) {
        if (!(error instanceof RefillError) || !AWAY.has(error.code)) throw error;
      }
    }
    if (!isSame()) return 0;
    const rows = new Uint32Array(count * LOCATION_ROW_WORDS);
    await this.lookup(namespace, keys, count, rows);
    let length = 0;
    while (length < count && rows[length * LOCATION_ROW_WORDS + LOCATION_ROW.found] === 1) length++;
    return length;
  }

  async #fromCheckpoint(
    namespace: number,
    keys: Uint32Array,
    missing: Int32Array,
    rows: Uint32Array,
    isSame: () => boolean,
  ): Promise<void> {
    const { link, checkpoint } = this.#parts;
    await checkpoint.ready(link.replica.stamp.incarnation, this.#lookupMs);
    for (const i of missing) {
      if (isSame() && checkpoint.locate(namespace, keys, i, rows, i, this.#isReadable)) continue;
      rows.fill(0, i * LOCATION_ROW_WORDS, (i + 1) * LOCATION_ROW_WORDS);
      rows[i * LOCATION_ROW_WORDS + LOCATION_ROW.entry] = ENTRY_NONE;
    }
  }
}

const AWAY: ReadonlySet<string> = new Set(['ERR_METADATA_UNAVAILABLE', 'ERR_DEADLINE']);

/** Copies the keys at the given positions; a whole list is one copy. */
function pack(target: Uint32Array, keys: Uint32Array, positions: Int32Array): void {
  const last = positions[positions.length - 1]!;
  if (last - positions[0]! + 1 === positions.length) {
    target.set(keys.subarray(positions[0]! * KEY_WORDS, (last + 1) * KEY_WORDS));
    return;
  }
  for (let i = 0; i < positions.length; i++) {
    const from = positions[i]! * KEY_WORDS;
    for (let word = 0; word < KEY_WORDS; word++) target[i * KEY_WORDS + word] = keys[from + word]!;
  }
}
