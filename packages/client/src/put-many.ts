import {
  type BlockInfo,
  KEYS_PER_CALL_MAX,
  type PutOptions,
  type PutOutcome,
  RESERVE_EXISTS,
  RESERVE_ROW,
  RESERVE_ROW_WORDS,
  RESERVE_STATUS,
} from '@refill/interface';
import type { NodeConnection } from './connection.ts';
import type { Remaining } from './deadline.ts';
import { PutPins } from './put-pins.ts';
import { abortReserved, awaitStored, commitSlots, LATE, reserveRows } from './reservations.ts';

export type Put = BlockInfo & { bytes: Uint8Array };

/** Share of the arena that one piece takes at most, so that the pieces on the way leave room for everything else. */
const PIECES_PER_ARENA = 16;
/** A piece is copied in one go: its size bounds how long the event loop stands still (about 3 ms). */
const PIECE_BYTES_MAX = 32 * 1024 * 1024;
/** Pieces on the way at once: while one becomes durable the next is copied. */
const LANES = 3;

/**
 * Puts any number of bytes: pieces of bounded size are reserved, copied and committed, a few at a time. A block for
 * which there was no room is tried again after the others are committed, as long as that makes progress.
 *
 * A crash of this process between reserve and commit leaves nothing: the node takes the room back with the connection.
 */
export async function putPieces(
  connection: NodeConnection,
  namespace: number,
  blocks: readonly Put[],
  tokensPerBlock: number,
  remaining: Remaining,
  put: PutOptions | undefined,
): Promise<PutOutcome[]> {
  const { durability } = put ?? {};
  const outcomes = new Array<PutOutcome>(blocks.length).fill(LATE);
  const pins = put?.pin === true ? new PutPins(connection, namespace, blocks) : undefined;
  let indexes = Uint32Array.from(blocks.keys());
  let lanes = LANES;
  while (indexes.length > 0) {
    const withoutRoom: number[] = [];
    await runLanes(lanes, cut(indexes, blocks, pieceBytesOf(connection)), async (piece) => {
      if (remaining.isOver) return;
      await putPiece(piece, withoutRoom);
    });
    if (withoutRoom.length === indexes.length || remaining.isOver) break;
    indexes = Uint32Array.from(withoutRoom);
    lanes = 1;
  }
  await pins?.pinExisting(outcomes, remaining);
  return outcomes;

  async function putPiece(piece: Uint32Array, withoutRoom: number[]): Promise<void> {
    const puts = Array.from(piece, (index) => blocks[index]!);
    const rows = await reserved(puts);
    if (rows === undefined) return;
    const slots = new Uint32Array(piece.length);
    const slotIndexes = new Uint32Array(piece.length);
    const unstored: number[] = [];
    let count = 0;
    try {
      remaining.signal?.throwIfAborted();
      for (let i = 0; i < piece.length; i++) {
        const row = i * RESERVE_ROW_WORDS;
        const status = rows[row + RESERVE_ROW.status];
        const index = piece[i]!;
        if (status === RESERVE_STATUS.exists) {
          outcomes[index] = 'exists';
          if (rows[row + RESERVE_ROW.slot] === RESERVE_EXISTS.unstored) unstored.push(index);
        } else if (status !== RESERVE_STATUS.reserved) {
          outcomes[index] = 'noRoom';
          withoutRoom.push(index);
        } else {
          const { bytes } = puts[i]!;
          const { [row + RESERVE_ROW.pane]: pane, [row + RESERVE_ROW.offsetBytes]: offset } = rows;
          connection.arena.write(pane!, offset!, bytes.length).set(bytes);
          slotIndexes[count] = index;
          slots[count++] = rows[row + RESERVE_ROW.slot]!;
        }
      }
    } catch (error) {
      abortReserved(connection, rows);
      throw error;
    }
    if (count > 0) {
      const unpin = (stored: readonly number[]): void => pins?.giveBack(stored.map((i) => slotIndexes[i]!));
      const options = { ...put, ...remaining.options() };
      const committed = await commitSlots(connection, slots, count, options, unpin);
      for (let i = 0; i < count; i++) outcomes[slotIndexes[i]!] = committed[i]!;
    }
    // What somebody else put to memory is not yet what this put promises.
    if (durability !== 'shared' || unstored.length === 0) return;
    const keys = unstored.map((index) => blocks[index]!.key);
    const stored = await awaitStored(connection, namespace, keys, remaining.options());
    for (const [i, index] of unstored.entries()) outcomes[index] = stored[i]!;
  }

  /** Rows, or `undefined` when the node did not answer in time: those blocks are late. */
  async function reserved(puts: Put[]): Promise<Uint32Array | undefined> {
    try {
      return await reserveRows(
        connection,
        namespace,
        puts,
        (i) => puts[i]!.bytes.length,
        tokensPerBlock,
        remaining.options(),
      );
    } catch (error) {
      if ((error as { code?: string }).code === 'ERR_DEADLINE') return undefined;
      throw error;
    }
  }
}

function pieceBytesOf(connection: NodeConnection): number {
  return Math.min(PIECE_BYTES_MAX, Math.floor(connection.welcome.arenaBytes / PIECES_PER_ARENA));
}

/** Cuts into pieces of at most `pieceBytes`; a larger block is a piece of its own. */
function cut(indexes: Uint32Array, blocks: readonly Put[], pieceBytes: number): Uint32Array[] {
  const pieces: Uint32Array[] = [];
  let start = 0;
  let bytes = 0;
  for (let i = 0; i < indexes.length; i++) {
    const length = blocks[indexes[i]!]!.bytes.length;
    if (i > start && (bytes + length > pieceBytes || i - start === KEYS_PER_CALL_MAX)) {
      pieces.push(indexes.subarray(start, i));
      start = i;
      bytes = 0;
    }
    bytes += length;
  }
  pieces.push(indexes.subarray(start));
  return pieces;
}

/** Works through `pieces` in order, `lanes` at a time. The first failure stops all lanes and is thrown. */
async function runLanes<T>(
  lanes: number,
  pieces: readonly T[],
  work: (piece: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const lane = async () => {
    while (next < pieces.length && !failed) {
      try {
        await work(pieces[next++]!);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: lanes }, lane));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
