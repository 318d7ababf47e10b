import {
  type BlockInfo,
  type BlockNamespace,
  type BlockView,
  type BlockViews,
  type CallOptions,
  completeFingerprint,
  type Fingerprint,
  FRAME,
  FRAME_FLAG,
  FRAME_HEADER_WORDS,
  type Frame,
  fillBytes,
  type IntoOutcome,
  invariant,
  KEY_BYTES,
  type Key,
  NAMESPACE_ID_BYTES,
  type NamespacePolicy,
  PUT_ROW_WORDS,
  type PutOptions,
  type PutOutcome,
  READ_ROW,
  READ_ROW_WORDS,
  REGION_ROW_WORDS,
  RESERVE_ROW,
  RESERVE_ROW_WORDS,
  RESERVE_STATUS,
  RefillError,
  type Region,
  type RegionPlace,
  type Reservation,
  ROW_STATUS,
  utf8Of,
} from '@refill/interface';
import {
  checkBytes,
  checkCount,
  checkLength,
  isShared,
  type Keys,
  keyCount,
  writeKeys,
  writePlaces,
  writePutRow,
} from './arguments.ts';
import type { ReplyReader } from './call.ts';
import type { NodeConnection } from './connection.ts';
import { Remaining } from './deadline.ts';
import type { Link } from './link.ts';
import { type Put, putPieces } from './put-many.ts';
import { ClientRegion } from './region.ts';
import { ArenaReservation, abortReserved, outcomesReader, reserveRows } from './reservations.ts';
import { ArenaViews, missReasonOf, releaseHits } from './views.ts';

const KEY_WORDS = KEY_BYTES / 4;
/** Rows of a read that was not answered in time. */
const LATE_ROW = [ROW_STATUS.late, 0, 0, 0, 0, 0];

/**
 * A namespace as one client sees it. Every call first needs it open on the current connection, which costs nothing
 * while the connection lasts and one exchange after it was replaced.
 */
export class ClientNamespace implements BlockNamespace {
  readonly fingerprint: Required<Fingerprint>;
  readonly #policy: Partial<NamespacePolicy>;
  readonly #link: Link;
  /** The connection on which it is open, and its index there. */
  #connection: NodeConnection | undefined;
  #index = 0;

  constructor(link: Link, fingerprint: Fingerprint, policy: Partial<NamespacePolicy>) {
    this.fingerprint = completeFingerprint(fingerprint);
    this.#policy = policy;
    this.#link = link;
  }

  /** Opens it on the current connection. Rejects with `ERR_FINGERPRINT_MISMATCH`. */
  async open(options: CallOptions | undefined): Promise<NodeConnection> {
    const remaining = new Remaining(this.#link.parts.clock, options);
    const connection = await this.#link.ready(options);
    if (connection === this.#connection) return connection;
    const text = utf8Of({ fingerprint: this.fingerprint, policy: this.#policy });
    const at = connection.writer.begin(text.length);
    fillBytes(connection.writer.words, at, text);
    this.#index = await connection.ask(at, FRAME.namespace, 0, 0, text.length, 0, remaining.options(), {
      read: (frame) => {
        invariant(frame.bodyBytes >= NAMESPACE_ID_BYTES, 'a namespace has an id');
        return frame.namespace;
      },
    });
    this.#connection = connection;
    return connection;
  }

  async put(block: BlockInfo, bytes: Uint8Array, options?: PutOptions): Promise<PutOutcome> {
    const [outcome] = await this.putMany([{ ...block, bytes }], options);
    return outcome!;
  }

  async putMany(blocks: readonly Put[], options?: PutOptions): Promise<PutOutcome[]> {
    isShared(options);
    const remaining = new Remaining(this.#link.parts.clock, options);
    for (const [i, block] of blocks.entries()) {
      checkBytes(block.bytes, `blocks[${i}].bytes`);
      checkLength(block.bytes.length, `blocks[${i}].bytes.length`);
    }
    if (blocks.length === 0) return [];
    const connection = await this.#use(options);
    const { tokensPerBlock } = this.fingerprint;
    return putPieces(connection, this.#index, blocks, tokensPerBlock, remaining, options?.durability);
  }

  async putFrom(
    region: Region,
    blocks: readonly (BlockInfo & RegionPlace)[],
    options?: PutOptions,
  ): Promise<PutOutcome[]> {
    const flags = isShared(options) ? FRAME_FLAG.shared : 0;
    const count = checkCount(blocks.length, 'blocks');
    if (count === 0) return [];
    const remaining = new Remaining(this.#link.parts.clock, options);
    const connection = await this.#use(options);
    const id = regionOf(region).idOn(connection);
    const at = connection.writer.begin(count * (PUT_ROW_WORDS + REGION_ROW_WORDS) * 4);
    const { words } = connection.writer;
    const body = at + FRAME_HEADER_WORDS;
    for (const [i, block] of blocks.entries()) {
      const { tokensPerBlock } = this.fingerprint;
      writePutRow(words, body + i * PUT_ROW_WORDS, block, block.lengthBytes, tokensPerBlock, `blocks[${i}]`);
    }
    writePlaces(words, body + count * PUT_ROW_WORDS, blocks, region.sizeBytes, 'blocks');
    const reader = outcomesReader(count);
    return connection.ask(at, FRAME.putFrom, flags, this.#index, count, id, remaining.options(), reader);
  }

  async reserve(
    block: BlockInfo,
    lengthBytes: number,
    options?: CallOptions,
  ): Promise<Reservation | undefined> {
    const [reservation] = await this.reserveMany([{ ...block, lengthBytes }], options);
    return reservation;
  }

  async reserveMany(
    blocks: readonly (BlockInfo & { lengthBytes: number })[],
    options?: CallOptions,
  ): Promise<(Reservation | undefined)[]> {
    checkCount(blocks.length, 'blocks');
    if (blocks.length === 0) return [];
    const remaining = new Remaining(this.#link.parts.clock, options);
    const connection = await this.#use(options);
    const { tokensPerBlock } = this.fingerprint;
    const lengthOf = (i: number) => blocks[i]!.lengthBytes;
    const rows = await reserveRows(
      connection,
      this.#index,
      blocks,
      lengthOf,
      tokensPerBlock,
      remaining.options(),
    );
    if (connection.lost !== undefined) throw connection.lost;
    for (let at = 0; at < rows.length; at += RESERVE_ROW_WORDS) {
      if (rows[at + RESERVE_ROW.status] !== RESERVE_STATUS.noRoom) continue;
      abortReserved(connection, rows);
      throw new RefillError('ERR_ARENA_FULL', 'the arena has no room for these blocks', {
        fix: 'Release views and reservations, or give the node a larger arena',
      });
    }
    return blocks.map(({ lengthBytes }, i) => {
      const row = rows.subarray(i * RESERVE_ROW_WORDS, (i + 1) * RESERVE_ROW_WORDS);
      if (row[RESERVE_ROW.status] !== RESERVE_STATUS.reserved) return undefined;
      return new ArenaReservation(connection, row, lengthBytes);
    });
  }

  async get(key: Key, options?: CallOptions): Promise<BlockView | undefined> {
    return (await this.getMany([key], options)).views[0];
  }

  getMany(keys: Keys, options?: CallOptions): Promise<BlockViews> {
    return this.#askKeys<BlockViews>(FRAME.get, keys, options, (connection, count) => ({
      read: (frame) =>
        new ArenaViews(connection, connection.rows.keep(frame.body(0, count * READ_ROW_WORDS))),
      discard: (frame) => releaseHits(connection, frame),
      late: () => new ArenaViews(connection, lateRows(count)),
    }));
  }

  async getInto(
    region: Region,
    keys: Keys,
    places: readonly RegionPlace[],
    options?: CallOptions,
  ): Promise<IntoOutcome[]> {
    const count = keyCount(keys);
    if (places.length !== count) {
      throw new RangeError(`places must have one entry a key: ${count} keys, ${places.length} places`);
    }
    if (count === 0) return [];
    const remaining = new Remaining(this.#link.parts.clock, options);
    const connection = await this.#use(options);
    const id = regionOf(region).idOn(connection);
    const at = connection.writer.begin(count * (KEY_WORDS + REGION_ROW_WORDS) * 4);
    const { words } = connection.writer;
    const body = at + FRAME_HEADER_WORDS;
    writeKeys(words, body, keys, count);
    writePlaces(words, body + count * KEY_WORDS, places, region.sizeBytes, 'places');
    return connection.ask(at, FRAME.getInto, 0, this.#index, count, id, remaining.options(), {
      read: (frame) => intoOutcomes(frame.body(0, count * READ_ROW_WORDS)),
      late: () => new Array<IntoOutcome>(count).fill('late'),
    });
  }

  matchPrefix(keys: Keys, options?: CallOptions): Promise<number> {
    return this.#askKeys(FRAME.match, keys, options, countReader);
  }

  exists(keys: Keys, options?: CallOptions): Promise<boolean[]> {
    return this.#askKeys(FRAME.exists, keys, options, (_connection, count) => ({
      read: (frame) => Array.from(frame.bytes(0, count), (present) => present !== 0),
    }));
  }

  prefetch(keys: Keys, options?: CallOptions): Promise<number> {
    return this.#askKeys(FRAME.prefetch, keys, options, countReader);
  }

  pin(keys: Keys, options?: CallOptions): Promise<number> {
    return this.#askKeys(FRAME.pin, keys, options, (connection) => ({
      read: countOf,
      discard: () => {
        if (connection.lost === undefined) this.unpin(keys).catch(() => undefined);
      },
    }));
  }

  unpin(keys: Keys, options?: CallOptions): Promise<number> {
    return this.#askKeys(FRAME.unpin, keys, options, countReader);
  }

  async touch(keys: Keys, options?: CallOptions): Promise<void> {
    await this.#askKeys(FRAME.touch, keys, options, countReader);
  }

  delete(keys: Keys, options?: CallOptions): Promise<number> {
    return this.#askKeys(FRAME.delete, keys, options, countReader);
  }

  /** A call whose request is a list of keys. While connected it costs one promise and one request entry. */
  #askKeys<T>(
    type: number,
    keys: Keys,
    options: CallOptions | undefined,
    readerOf: (connection: NodeConnection, count: number) => ReplyReader<T>,
  ): Promise<T> {
    const connection = this.#link.current;
    if (connection === undefined || connection !== this.#connection) {
      return this.#openThenAsk(type, keys, options, readerOf);
    }
    try {
      const count = keyCount(keys);
      const at = connection.writer.begin(count * KEY_BYTES);
      writeKeys(connection.writer.words, at + FRAME_HEADER_WORDS, keys, count);
      return connection.ask(at, type, 0, this.#index, count, 0, options, readerOf(connection, count));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async #openThenAsk<T>(
    type: number,
    keys: Keys,
    options: CallOptions | undefined,
    readerOf: (connection: NodeConnection, count: number) => ReplyReader<T>,
  ): Promise<T> {
    keyCount(keys);
    const remaining = new Remaining(this.#link.parts.clock, options);
    await this.open(options);
    return this.#askKeys(type, keys, remaining.options(), readerOf);
  }

  /** The connection on which the namespace is open. */
  #use(options: CallOptions | undefined): Promise<NodeConnection> | NodeConnection {
    const connection = this.#link.current;
    return connection !== undefined && connection === this.#connection ? connection : this.open(options);
  }
}

const COUNT_READER: ReplyReader<number> = { read: countOf };

function countReader(): ReplyReader<number> {
  return COUNT_READER;
}

function countOf(frame: Frame): number {
  return frame.count;
}

function lateRows(count: number): Uint32Array {
  const rows = new Uint32Array(count * READ_ROW_WORDS);
  for (let i = 0; i < count; i++) rows.set(LATE_ROW, i * READ_ROW_WORDS);
  return rows;
}

function intoOutcomes(rows: Uint32Array): IntoOutcome[] {
  const outcomes: IntoOutcome[] = [];
  for (let at = 0; at < rows.length; at += READ_ROW_WORDS) {
    const reason = missReasonOf(rows[at + READ_ROW.status]!);
    outcomes.push(
      reason ?? { lengthBytes: rows[at + READ_ROW.lengthBytes]!, tokens: rows[at + READ_ROW.tokens]! },
    );
  }
  return outcomes;
}

function regionOf(region: Region): ClientRegion {
  if (region instanceof ClientRegion) return region;
  throw new TypeError('region must come from registerRegion() of this store');
}
