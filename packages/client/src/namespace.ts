import {
  type BlockInfo,
  type BlockLookup,
  type BlockNamespace,
  type BlockView,
  type BlockViews,
  type CallOptions,
  type FillLease,
  type Fingerprint,
  FRAME,
  FRAME_HEADER_WORDS,
  type Frame,
  hintBytes,
  hintsOf,
  type IntoOutcome,
  KEY_BYTES,
  type Key,
  type NodeResidency,
  PUT_ROW_WORDS,
  type PutOptions,
  type PutOutcome,
  REGION_ROW_WORDS,
  RESERVE_ROW,
  RESERVE_ROW_WORDS,
  RESERVE_STATUS,
  type ReadAdvice,
  type ReadExplanation,
  RefillError,
  type Region,
  type RegionPlace,
  type Reservation,
  writeHints,
} from '@refill/interface';
import { adviseRead, checkRate } from './advice.ts';
import {
  checkList,
  checkPuts,
  isShared,
  type Keys,
  keyCount,
  limitOf,
  writeKeys,
  writePlaces,
  writePutRow,
} from './arguments.ts';
import { Remaining } from './deadline.ts';
import { fillReader, lifeMsOf } from './fill-lease.ts';
import { lookupReader } from './lookup.ts';
import type { OpenNamespace } from './open-namespace.ts';
import { type Put, putPieces } from './put-many.ts';
import { PutPins } from './put-pins.ts';
import { ClientRegion } from './region.ts';
import { countReader, intoReader, jsonReader, presenceReader, viewsReader } from './replies.ts';
import {
  ArenaReservation,
  abortReserved,
  outcomesReader,
  putFlags,
  reserveRows,
  storedOf,
} from './reservations.ts';

const KEY_WORDS = KEY_BYTES / 4;

/** A namespace as one client sees it. */
export class ClientNamespace implements BlockNamespace {
  readonly fingerprint: Required<Fingerprint>;
  readonly #open: OpenNamespace;

  constructor(open: OpenNamespace) {
    this.fingerprint = open.fingerprint;
    this.#open = open;
  }

  async put(block: BlockInfo, bytes: Uint8Array, options?: PutOptions): Promise<PutOutcome> {
    const [outcome] = await this.putMany([{ ...block, bytes }], options);
    return outcome!;
  }

  async putMany(blocks: readonly Put[], options?: PutOptions): Promise<PutOutcome[]> {
    isShared(options);
    hintsOf(options);
    const remaining = new Remaining(this.#open.link.parts.clock, options);
    checkPuts(blocks);
    if (blocks.length === 0) return [];
    const connection = await this.#open.use(options);
    const { tokensPerBlock } = this.fingerprint;
    return putPieces(connection, this.#open.index, blocks, tokensPerBlock, remaining, options);
  }

  async putFrom(
    region: Region,
    blocks: readonly (BlockInfo & RegionPlace)[],
    options?: PutOptions,
  ): Promise<PutOutcome[]> {
    const hints = hintsOf(options);
    const flags = putFlags(options, hints);
    const count = checkList(blocks, 'blocks');
    if (count === 0) return [];
    const remaining = new Remaining(this.#open.link.parts.clock, options);
    const connection = await this.#open.use(options);
    const id = regionOf(region).idOn(connection);
    const head = hintBytes(hints);
    const at = connection.writer.begin(head + count * (PUT_ROW_WORDS + REGION_ROW_WORDS) * 4);
    const { words } = connection.writer;
    const body = at + FRAME_HEADER_WORDS + head / 4;
    if (hints !== undefined) writeHints(words, at + FRAME_HEADER_WORDS, hints);
    for (const [i, block] of blocks.entries()) {
      const { tokensPerBlock } = this.fingerprint;
      writePutRow(words, body + i * PUT_ROW_WORDS, block, block.lengthBytes, tokensPerBlock, `blocks[${i}]`);
    }
    writePlaces(words, body + count * PUT_ROW_WORDS, blocks, region.sizeBytes, 'blocks');
    const namespace = this.#open.index;
    const pins = hints?.pin === true ? new PutPins(connection, namespace, blocks) : undefined;
    const reader = {
      ...outcomesReader(count),
      ...(pins && { discard: (frame: Frame) => pins.giveBack(storedOf(frame, count)) }),
    };
    const asked = remaining.options();
    const outcomes = await connection.ask(at, FRAME.putFrom, flags, namespace, count, id, asked, reader);
    await pins?.pinExisting(outcomes, remaining);
    return outcomes;
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
    if (checkList(blocks, 'blocks') === 0) return [];
    const remaining = new Remaining(this.#open.link.parts.clock, options);
    const connection = await this.#open.use(options);
    const { tokensPerBlock } = this.fingerprint;
    const lengthOf = (i: number) => blocks[i]!.lengthBytes;
    const rows = await reserveRows(
      connection,
      this.#open.index,
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
    return blocks.map(({ key, lengthBytes }, i) => {
      const row = rows.subarray(i * RESERVE_ROW_WORDS, (i + 1) * RESERVE_ROW_WORDS);
      if (row[RESERVE_ROW.status] !== RESERVE_STATUS.reserved) return undefined;
      return new ArenaReservation(connection, row, { namespace: this.#open.index, key, lengthBytes });
    });
  }

  async get(key: Key, options?: CallOptions): Promise<BlockView | undefined> {
    return (await this.getMany([key], options)).views[0];
  }

  getMany(keys: Keys, options?: CallOptions): Promise<BlockViews> {
    return this.#open.ask<BlockViews>(FRAME.get, keys, options, viewsReader);
  }

  async getInto(
    region: Region,
    keys: Keys,
    places: readonly RegionPlace[],
    options?: CallOptions,
  ): Promise<IntoOutcome[]> {
    const count = keyCount(keys);
    if (checkList(places, 'places') !== count) {
      throw new RangeError(`places must have one entry a key: ${count} keys, ${places.length} places`);
    }
    if (count === 0) return [];
    const remaining = new Remaining(this.#open.link.parts.clock, options);
    const connection = await this.#open.use(options);
    const id = regionOf(region).idOn(connection);
    const at = connection.writer.begin(count * (KEY_WORDS + REGION_ROW_WORDS) * 4);
    const { words } = connection.writer;
    const body = at + FRAME_HEADER_WORDS;
    writeKeys(words, body, keys, count);
    writePlaces(words, body + count * KEY_WORDS, places, region.sizeBytes, 'places');
    return connection.ask(
      at,
      FRAME.getInto,
      0,
      this.#open.index,
      count,
      id,
      remaining.options(),
      intoReader(count),
    );
  }

  matchPrefix(keys: Keys, options?: CallOptions): Promise<number> {
    return this.#open.ask(FRAME.match, keys, options, countReader);
  }

  exists(keys: Keys, options?: CallOptions): Promise<boolean[]> {
    return this.#open.ask(FRAME.exists, keys, options, presenceReader);
  }

  prefetch(keys: Keys, options?: CallOptions): Promise<number> {
    return this.#open.ask(FRAME.prefetch, keys, options, countReader);
  }

  pin(keys: Keys, options?: CallOptions): Promise<number> {
    return this.#open.ask(FRAME.pin, keys, options, (connection) => ({
      read: (frame) => frame.count,
      discard: () => {
        if (connection.lost === undefined) this.unpin(keys).catch(() => undefined);
      },
    }));
  }

  unpin(keys: Keys, options?: CallOptions): Promise<number> {
    return this.#open.ask(FRAME.unpin, keys, options, countReader);
  }

  async touch(keys: Keys, options?: CallOptions): Promise<void> {
    await this.#open.ask(FRAME.touch, keys, options, countReader);
  }

  delete(keys: Keys, options?: CallOptions): Promise<number> {
    return this.#open.ask(FRAME.delete, keys, options, countReader);
  }

  lookup(keys: Keys, options?: CallOptions): Promise<BlockLookup[]> {
    return this.#open.ask(FRAME.lookup, keys, options, lookupReader);
  }

  async advise(keys: Keys, options: CallOptions & { prefillTokensPerSecond: number }): Promise<ReadAdvice> {
    const rate = checkRate(options?.prefillTokensPerSecond);
    return adviseRead(await this.lookup(keys, options), this.fingerprint.tokensPerBlock, rate);
  }

  async locate(keys: Keys, options?: CallOptions & { limit?: number }): Promise<NodeResidency[]> {
    const limit = limitOf(options);
    return this.#open.ask(FRAME.locate, keys, options, jsonReader<NodeResidency[]>, limit);
  }

  explain(keys: Keys, options?: CallOptions): Promise<ReadExplanation> {
    return this.#open.ask(FRAME.explain, keys, options, jsonReader<ReadExplanation>);
  }

  async acquireFill(keys: Keys, options?: CallOptions & { lifeMs?: number }): Promise<FillLease> {
    return this.#open.ask(FRAME.acquireFill, keys, options, fillReader, lifeMsOf(options));
  }

  awaitFill(keys: Keys, options?: CallOptions): Promise<number> {
    return this.#open.ask(FRAME.awaitFill, keys, options, countReader);
  }
}

function regionOf(region: Region): ClientRegion {
  if (region instanceof ClientRegion) return region;
  throw new TypeError('region must come from registerRegion() of this store');
}
