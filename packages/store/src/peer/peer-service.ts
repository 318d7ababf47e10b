import {
  type ControlNetwork,
  KEY_WORDS,
  OFFER_ROW,
  OFFER_ROW_WORDS,
  PEER_TICKET_BYTES,
  type PeerName,
  type PeerTransport,
  RefillError,
  SLOT_UNIT_BYTES,
} from '@refill/interface';
import type { DramTier } from '../arena/dram-tier.ts';
import { PeerBounds, type PeerBoundsOptions } from './peer-bounds.ts';
import {
  decodeMessage,
  encodeGrant,
  encodeHeld,
  GRANT_ROW,
  GRANT_ROW_WORDS,
  GRANT_STATUS,
  PEER_PROTOCOL,
  type PeerAsk,
  type PeerGrant,
  type PeerHeld,
  type PeerHold,
} from './peer-messages.ts';

/** What a receiver needs for a request of many large blocks, and memory that a dead one holds at most. */
const TICKET_MS = 5_000;
const OFFERS_PER_PEER_MAX = 64;
const NO_TICKET: Uint8Array = new Uint8Array(PEER_TICKET_BYTES);
const NOTHING: Uint8Array = new Uint8Array(0);

/** What of the arena it uses. */
export type PeerTier = Pick<
  DramTier,
  'findMany' | 'isReadable' | 'pin' | 'unpin' | 'offsetOf' | 'columns' | 'arena'
>;

export interface PeerServiceParts {
  control: ControlNetwork;
  transport: PeerTransport;
  tier: PeerTier;
  /** Index of the namespace with this id (16 bytes), where there is one. */
  namespaceOf(id: Uint8Array): number | undefined;
  /** Reads blocks into DRAM because a member asks for it; never rejects. Default: refuses them all. */
  hold?(namespace: number, hold: PeerHold): Promise<PeerHeld>;
}

export interface PeerServiceOptions extends Partial<PeerBoundsOptions> {
  /** Life of a ticket. */
  ticketMs?: number;
}

export interface PeerServiceCounters {
  asks: number;
  offeredBlocks: number;
  offeredBytes: number;
  absent: number;
  busy: number;
}

/**
 * Lets other members read blocks out of this node's DRAM. In order: the blocks are pinned, offered, answered; they are
 * unpinned when the transport has released the offer, which is after the receiver said it is done, or after the
 * ticket's life, and always after the last send. A crash of either side leaves nothing: pins die with the process, and
 * a ticket of a dead receiver ends by itself.
 *
 * Registers its protocol when made, so it is made before `control` starts. Whoever `control` lets in may ask.
 */
export class PeerService {
  readonly counters: PeerServiceCounters = { asks: 0, offeredBlocks: 0, offeredBytes: 0, absent: 0, busy: 0 };
  readonly #parts: PeerServiceParts;
  readonly #ticketMs: number;
  readonly #bounds: PeerBounds;
  /** Who holds which ticket. */
  readonly #tickets = new Map<string, { peer: PeerName; end(): void }>();

  constructor(parts: PeerServiceParts, options: PeerServiceOptions = {}) {
    const arenaBytes = parts.tier.arena.allocator.units * SLOT_UNIT_BYTES;
    const { ticketMs = TICKET_MS, offersPerPeerMax = OFFERS_PER_PEER_MAX } = options;
    // Pinned memory cannot be evicted: half of it stays for the node's own clients, whoever asks.
    const { bytesPerPeerMax = arenaBytes / 4, bytesMax = arenaBytes / 2 } = options;
    this.#parts = parts;
    this.#ticketMs = ticketMs;
    this.#bounds = new PeerBounds({ bytesPerPeerMax, bytesMax, offersPerPeerMax });
    parts.control.handle(PEER_PROTOCOL, (from, body) => this.#answer(from, body));
  }

  /** Bytes of blocks that are pinned for others. */
  get pinnedBytes(): number {
    return this.#bounds.pinnedBytes;
  }

  #answer(from: PeerName, body: Uint8Array): Uint8Array | Promise<Uint8Array> {
    const message = decodeMessage(body);
    if (message.kind === 'ask') return encodeGrant(this.#grant(from, message));
    if (message.kind === 'hold') return this.#hold(message);
    const name = nameOf(message.ticket);
    const held = this.#tickets.get(name);
    // One that is over already was not wrong to say so; another's is not his to end.
    if (held !== undefined && held.peer !== from) {
      throw new RefillError('ERR_UNAUTHORIZED', 'the ticket is another member’s');
    }
    held?.end();
    return NOTHING;
  }

  async #hold(message: PeerHold): Promise<Uint8Array> {
    const { hold, namespaceOf } = this.#parts;
    const namespace = namespaceOf(message.namespaceId);
    const none = { held: 0, refused: message.count, freeBytes: 0 };
    if (hold === undefined || namespace === undefined) return encodeHeld(none);
    return encodeHeld(await hold(namespace, message));
  }

  /** Pins and offers what is here, in the order asked for, as far as the bounds allow. */
  #grant(from: PeerName, ask: PeerAsk): PeerGrant {
    const { tier, transport, namespaceOf } = this.#parts;
    const { count, keys, namespaceId } = ask;
    this.counters.asks++;
    const rows = new Uint32Array(count * GRANT_ROW_WORDS);
    const namespace = namespaceOf(namespaceId);
    const nothing = { ticket: NO_TICKET, address: transport.address, lifeMs: 0, rows, count };
    if (namespace === undefined) {
      this.counters.absent += count;
      return nothing;
    }
    const ids = new Int32Array(count);
    tier.findMany(namespace, keys, count, ids);
    const offered: number[] = [];
    let bytes = 0;
    const roomBytes = this.#bounds.roomFor(from);
    for (let i = 0; i < count; i++) {
      const id = ids[i]!;
      const row = i * GRANT_ROW_WORDS;
      if (id < 0 || !tier.isReadable(id)) {
        this.counters.absent++;
        continue;
      }
      const lengthBytes = tier.columns.lengthBytes[id]!;
      rows[row + GRANT_ROW.lengthBytes] = lengthBytes;
      rows[row + GRANT_ROW.tokens] = tier.columns.tokens[id]!;
      const fits = bytes + lengthBytes <= roomBytes;
      rows[row + GRANT_ROW.status] = fits ? GRANT_STATUS.offered : GRANT_STATUS.busy;
      if (fits) {
        offered.push(i);
        bytes += lengthBytes;
      } else this.counters.busy++;
    }
    if (offered.length === 0) return nothing;
    const ticket = this.#offer(from, ask, ids, offered, bytes);
    if (ticket !== undefined) return { ...nothing, ticket, lifeMs: this.#ticketMs };
    for (const i of offered) rows[i * GRANT_ROW_WORDS + GRANT_ROW.status] = GRANT_STATUS.busy;
    return nothing;
  }

  #offer(
    from: PeerName,
    { namespaceId, keys }: PeerAsk,
    ids: Int32Array,
    offered: readonly number[],
    bytes: number,
  ): Uint8Array | undefined {
    const { tier, transport } = this.#parts;
    const rows = new Uint32Array(offered.length * OFFER_ROW_WORDS);
    const identity = new Uint32Array(namespaceId.slice().buffer);
    for (const [place, i] of offered.entries()) {
      const at = place * OFFER_ROW_WORDS;
      const offset = tier.offsetOf(ids[i]!);
      rows.set(identity, at + OFFER_ROW.namespaceId);
      rows.set(keys.subarray(i * KEY_WORDS, (i + 1) * KEY_WORDS), at + OFFER_ROW.key);
      rows[at + OFFER_ROW.bufferOffsetLo] = offset >>> 0;
      rows[at + OFFER_ROW.bufferOffsetHi] = Math.floor(offset / 2 ** 32);
      rows[at + OFFER_ROW.lengthBytes] = tier.columns.lengthBytes[ids[i]!]!;
    }
    const pinned = Int32Array.from(offered, (i) => ids[i]!);
    let name: string | undefined;
    const release = (): void => {
      for (const id of pinned) tier.unpin(id);
      this.#bounds.giveBack(from, bytes);
      if (name !== undefined) this.#tickets.delete(name);
    };
    for (const id of pinned) tier.pin(id);
    this.#bounds.take(from, bytes);
    try {
      const { ticket, end } = transport.offer(rows, offered.length, this.#ticketMs, release);
      name = nameOf(ticket);
      this.#tickets.set(name, { peer: from, end });
      this.counters.offeredBlocks += offered.length;
      this.counters.offeredBytes += bytes;
      return ticket;
    } catch (error) {
      release();
      if (error instanceof RefillError && error.code === 'ERR_LIMIT') return undefined;
      throw error;
    }
  }
}

function nameOf(ticket: Uint8Array): string {
  return Buffer.from(ticket).toString('latin1');
}
