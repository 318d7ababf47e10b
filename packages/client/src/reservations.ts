import {
  type BlockInfo,
  type CallOptions,
  FRAME,
  FRAME_FLAG,
  FRAME_HEADER_WORDS,
  type Frame,
  hintBytes,
  hintsOf,
  KEY_BYTES,
  type Key,
  PUT_ROW_WORDS,
  PUT_STATUS,
  type PutHints,
  type PutOptions,
  type PutOutcome,
  RESERVE_ROW,
  RESERVE_ROW_WORDS,
  RESERVE_STATUS,
  RefillError,
  type Reservation,
  writeHints,
} from '@refill/interface';
import { isShared, type Keys, keyCount, writeKeys, writePutRow } from './arguments.ts';
import type { NodeConnection } from './connection.ts';

/** Outcomes by `PUT_STATUS`. */
const OUTCOMES: readonly PutOutcome[] = ['stored', 'exists', 'noRoom', 'failed', 'late'];

/** Asks for room for `count` blocks; answers `RESERVE_ROW`s. Room that nobody waits for any more is given back. */
export function reserveRows(
  connection: NodeConnection,
  namespace: number,
  blocks: readonly BlockInfo[],
  lengthOf: (index: number) => number,
  tokensPerBlock: number,
  options: CallOptions | undefined,
): Promise<Uint32Array> {
  const count = blocks.length;
  const { writer } = connection;
  const at = writer.begin(count * PUT_ROW_WORDS * 4);
  for (let i = 0; i < count; i++) {
    const row = at + FRAME_HEADER_WORDS + i * PUT_ROW_WORDS;
    writePutRow(writer.words, row, blocks[i]!, lengthOf(i), tokensPerBlock, `blocks[${i}]`);
  }
  return connection.ask(at, FRAME.reserve, 0, namespace, count, 0, options, {
    read: (frame) => frame.body(0, count * RESERVE_ROW_WORDS).slice(),
    discard: (frame) => abortReserved(connection, frame.body(0, frame.count * RESERVE_ROW_WORDS)),
  });
}

/** Gives back the reserved ones of these rows. */
export function abortReserved(connection: NodeConnection, rows: Uint32Array): void {
  const slots = new Uint32Array(rows.length / RESERVE_ROW_WORDS);
  let count = 0;
  for (let at = 0; at < rows.length; at += RESERVE_ROW_WORDS) {
    if (rows[at + RESERVE_ROW.status] !== RESERVE_STATUS.reserved) continue;
    slots[count++] = rows[at + RESERVE_ROW.slot]!;
  }
  if (count > 0) connection.tell(FRAME.abort, slots, count, 0);
}

/** Makes slots visible. Without an answer in time every outcome is `late`: it may still become stored. */
export function commitSlots(
  connection: NodeConnection,
  slots: Uint32Array,
  count: number,
  options: PutOptions | undefined,
  unpin?: (stored: readonly number[]) => void,
): Promise<PutOutcome[]> {
  const hints = hintsOf(options);
  const head = hintBytes(hints);
  const at = connection.writer.begin(head + count * 4);
  const { words } = connection.writer;
  if (hints !== undefined) writeHints(words, at + FRAME_HEADER_WORDS, hints);
  words.set(slots.subarray(0, count), at + FRAME_HEADER_WORDS + head / 4);
  const discard = (frame: Frame): void => unpin?.(storedOf(frame, count));
  const reader = { ...outcomesReader(count), ...(hints?.pin === true && { discard }) };
  return connection.ask(at, FRAME.commit, putFlags(options, hints), 0, count, 0, options, reader);
}

/** Flags of a frame that puts. */
export function putFlags(options: PutOptions | undefined, hints: PutHints | undefined): number {
  const durability = isShared(options) ? FRAME_FLAG.shared : 0;
  return hints === undefined ? durability : durability | FRAME_FLAG.hinted;
}

/** Ends pins that a put made, or was to make, for nobody who waits any more. */
export function unpinKeys(connection: NodeConnection, namespace: number, keys: Keys): void {
  if (connection.lost !== undefined) return;
  askKeys(connection, FRAME.unpin, namespace, keys, undefined).catch(() => undefined);
}

/** A request of a list of keys on this connection, answered by a count. */
export function askKeys(
  connection: NodeConnection,
  type: number,
  namespace: number,
  keys: Keys,
  options: CallOptions | undefined,
): Promise<number> {
  const count = keyCount(keys);
  const at = connection.writer.begin(count * KEY_BYTES);
  writeKeys(connection.writer.words, at + FRAME_HEADER_WORDS, keys, count);
  return connection.ask(at, type, 0, namespace, count, 0, options, { read: (frame) => frame.count });
}

/** Waits for blocks that exist to become durable: `exists`, or `late`, or `failed` when they are not there any more. */
export function awaitStored(
  connection: NodeConnection,
  namespace: number,
  keys: Keys,
  options: CallOptions | undefined,
): Promise<PutOutcome[]> {
  const count = keyCount(keys);
  const at = connection.writer.begin(count * KEY_BYTES);
  writeKeys(connection.writer.words, at + FRAME_HEADER_WORDS, keys, count);
  return connection.ask(at, FRAME.awaitStored, 0, namespace, count, 0, options, outcomesReader(count));
}

export function outcomesReader(count: number): { read(frame: Frame): PutOutcome[]; late(): PutOutcome[] } {
  return {
    read: (frame) => Array.from(frame.body(0, count), (status) => OUTCOMES[status] ?? 'failed'),
    late: () => new Array<PutOutcome>(count).fill('late'),
  };
}

/** Indexes of the blocks that a reply calls stored. */
export function storedOf(frame: Frame, count: number): number[] {
  const statuses = Array.from(frame.body(0, count));
  return [...statuses.keys()].filter((i) => statuses[i] === PUT_STATUS.stored);
}

export const LATE: PutOutcome = OUTCOMES[PUT_STATUS.late]!;

/** Room for one block, held until it is committed, aborted or the connection goes. */
export class ArenaReservation implements Reservation {
  readonly #connection: NodeConnection;
  readonly #row: Uint32Array;
  readonly #lengthBytes: number;
  readonly #namespace: number;
  readonly #key: Key;
  #isOpen = true;

  /** `row` is a `RESERVE_ROW` of its own. */
  constructor(
    connection: NodeConnection,
    row: Uint32Array,
    block: { namespace: number; key: Key; lengthBytes: number },
  ) {
    this.#connection = connection;
    this.#row = row;
    this.#lengthBytes = block.lengthBytes;
    this.#namespace = block.namespace;
    this.#key = block.key;
    connection.arena.hold();
  }

  get bytes(): Uint8Array {
    this.#check();
    const { arena } = this.#connection;
    return arena.write(this.#row[RESERVE_ROW.pane]!, this.#row[RESERVE_ROW.offsetBytes]!, this.#lengthBytes);
  }

  async commit(options?: PutOptions): Promise<PutOutcome> {
    this.#check();
    const slots = this.#row.subarray(RESERVE_ROW.slot, RESERVE_ROW.slot + 1);
    const unpin = (stored: readonly number[]): void => {
      if (stored.length > 0) unpinKeys(this.#connection, this.#namespace, [this.#key]);
    };
    const committed = commitSlots(this.#connection, slots, 1, options, unpin);
    this.#end();
    const [outcome] = await committed;
    return outcome!;
  }

  abort(): void {
    if (!this.#isOpen) return;
    abortReserved(this.#connection, this.#row);
    this.#end();
  }

  [Symbol.dispose](): void {
    this.abort();
  }

  #end(): void {
    this.#isOpen = false;
    this.#connection.arena.drop();
  }

  #check(): void {
    if (this.#connection.lost !== undefined) throw this.#connection.lost;
    if (this.#isOpen) return;
    throw new RefillError('ERR_HANDLE_UNKNOWN', 'this reservation was committed or aborted');
  }
}
