import {
  type Clock,
  type ClusterMember,
  type ControlNetwork,
  KEY_WORDS,
  PEER_BLOCKS_MAX,
  PEER_TICKET_BYTES,
  type PeerTransport,
  RECEIVE_ROW,
  RECEIVE_ROW_WORDS,
  RECEIVE_STATUS,
  RefillError,
} from '@refill/interface';
import { LOAD_ROW, LOAD_ROW_WORDS, LOAD_STATUS } from '../shared-tier.ts';
import {
  decodeGrant,
  encodeAsk,
  encodeDone,
  GRANT_ROW,
  GRANT_ROW_WORDS,
  GRANT_STATUS,
  PEER_PROTOCOL,
  type PeerGrant,
} from './peer-messages.ts';

/** Dialling, the handshake and admission, to a member that is far and busy. */
const GREET_DEADLINE_MS = 5_000;
/** Telling the holder that it may let go waits for nobody. */
const DONE_DEADLINE_MS = 1_000;

export interface PeerReaderParts {
  control: ControlNetwork;
  transport: PeerTransport;
  clock: Clock;
  /** Id (16 bytes) of a namespace by its index on this node. */
  namespaceIdOf(namespace: number): Uint8Array | undefined;
}

type LoadStatus = (typeof LOAD_STATUS)[keyof typeof LOAD_STATUS];

const OUTCOME: Readonly<Record<number, LoadStatus>> = {
  [RECEIVE_STATUS.done]: LOAD_STATUS.done,
  [RECEIVE_STATUS.late]: LOAD_STATUS.late,
  [RECEIVE_STATUS.corrupt]: LOAD_STATUS.corrupt,
  [RECEIVE_STATUS.refused]: LOAD_STATUS.gone,
};

/** Reads blocks out of another member's DRAM: one request over control for a ticket, then the bytes by the transport. */
export class PeerReader {
  readonly #parts: PeerReaderParts;

  constructor(parts: PeerReaderParts) {
    this.#parts = parts;
  }

  /**
   * Opens the way to a member, which takes longer than a read may: dialling, handshake, admission. Rejects when it
   * cannot be reached.
   */
  async greet(member: Pick<ClusterMember, 'control'>): Promise<void> {
    // To end a ticket that never was is a request that asks for nothing.
    const nothing = encodeDone(new Uint8Array(PEER_TICKET_BYTES));
    await this.#parts.control.request(member.control, PEER_PROTOCOL, nothing, {
      deadlineMs: GREET_DEADLINE_MS,
    });
  }

  /**
   * As `SharedTier.load`, from the memory of `member`; nothing writes to the rows' memory any more when it settles.
   * `gone`: not there, or of another length; `failed`: the member cannot be reached, or has too much to do.
   */
  async load(
    member: Pick<ClusterMember, 'control'>,
    rows: Uint32Array,
    count: number,
    deadlineMs: number,
  ): Promise<void> {
    const untilMs = this.#parts.clock.nowMs() + deadlineMs;
    const parts: number[][] = [];
    const open = new Map<number, number[]>();
    for (let i = 0; i < count; i++) {
      const namespace = rows[i * LOAD_ROW_WORDS + LOAD_ROW.namespace]!;
      let part = open.get(namespace);
      if (part === undefined || part.length === PEER_BLOCKS_MAX) {
        part = [];
        parts.push(part);
        open.set(namespace, part);
      }
      part.push(i);
    }
    await Promise.all(parts.map((part) => this.#loadPart(member, rows, part, untilMs)));
  }

  /** Rows of one namespace. */
  async #loadPart(
    member: Pick<ClusterMember, 'control'>,
    rows: Uint32Array,
    part: readonly number[],
    untilMs: number,
  ): Promise<void> {
    const { control, clock } = this.#parts;
    const set = (i: number, status: LoadStatus): void => {
      rows[i * LOAD_ROW_WORDS + LOAD_ROW.status] = status;
    };
    let grant: PeerGrant;
    try {
      const remainingMs = untilMs - clock.nowMs();
      const body = this.#ask(rows, part);
      if (body === undefined || remainingMs <= 0) {
        for (const i of part) set(i, body === undefined ? LOAD_STATUS.gone : LOAD_STATUS.late);
        return;
      }
      const answer = await control.request(member.control, PEER_PROTOCOL, body, { deadlineMs: remainingMs });
      grant = decodeGrant(answer, part.length);
    } catch (error) {
      const isLate = error instanceof RefillError && error.code === 'ERR_DEADLINE';
      for (const i of part) set(i, isLate ? LOAD_STATUS.late : LOAD_STATUS.failed);
      return;
    }
    if (grant.lifeMs > 0) await this.#receive(member, grant, rows, part, untilMs, set);
    else for (const [at, i] of part.entries()) set(i, refusalOf(grant, at));
  }

  #ask(rows: Uint32Array, part: readonly number[]): Uint8Array | undefined {
    const namespaceId = this.#parts.namespaceIdOf(rows[part[0]! * LOAD_ROW_WORDS + LOAD_ROW.namespace]!);
    if (namespaceId === undefined) return undefined;
    const keys = new Uint32Array(part.length * KEY_WORDS);
    for (const [at, i] of part.entries()) {
      const key = i * LOAD_ROW_WORDS + LOAD_ROW.key;
      keys.set(rows.subarray(key, key + KEY_WORDS), at * KEY_WORDS);
    }
    return encodeAsk({ namespaceId, keys, count: part.length });
  }

  async #receive(
    member: Pick<ClusterMember, 'control'>,
    grant: PeerGrant,
    rows: Uint32Array,
    part: readonly number[],
    untilMs: number,
    set: (i: number, status: LoadStatus) => void,
  ): Promise<void> {
    const { control, transport, clock, namespaceIdOf } = this.#parts;
    const wanted: number[] = [];
    const receiving = new Uint32Array(part.length * RECEIVE_ROW_WORDS);
    const namespace = rows[part[0]! * LOAD_ROW_WORDS + LOAD_ROW.namespace]!;
    const identity = new Uint32Array(namespaceIdOf(namespace)!.slice().buffer);
    let place = 0;
    for (const [at, i] of part.entries()) {
      const granted = at * GRANT_ROW_WORDS;
      const isOffered = grant.rows[granted + GRANT_ROW.status] === GRANT_STATUS.offered;
      const index = place;
      if (isOffered) place++;
      const row = i * LOAD_ROW_WORDS;
      // Another length under the same key is another block: its key was deleted and put anew.
      if (!isOffered || grant.rows[granted + GRANT_ROW.lengthBytes] !== rows[row + LOAD_ROW.lengthBytes]) {
        set(i, isOffered ? LOAD_STATUS.gone : refusalOf(grant, at));
        continue;
      }
      const to = wanted.length * RECEIVE_ROW_WORDS;
      receiving.set(identity, to + RECEIVE_ROW.namespaceId);
      receiving.set(rows.subarray(row + LOAD_ROW.key, row + LOAD_ROW.key + KEY_WORDS), to + RECEIVE_ROW.key);
      receiving[to + RECEIVE_ROW.index] = index;
      receiving[to + RECEIVE_ROW.lengthBytes] = rows[row + LOAD_ROW.lengthBytes]!;
      receiving[to + RECEIVE_ROW.buffer] = rows[row + LOAD_ROW.buffer]!;
      receiving[to + RECEIVE_ROW.bufferOffsetLo] = rows[row + LOAD_ROW.bufferOffsetLo]!;
      receiving[to + RECEIVE_ROW.bufferOffsetHi] = rows[row + LOAD_ROW.bufferOffsetHi]!;
      wanted.push(i);
    }
    const remainingMs = untilMs - clock.nowMs();
    if (wanted.length > 0 && remainingMs > 0) {
      await transport.receive(grant.address, grant.ticket, receiving, wanted.length, remainingMs);
    }
    for (const [at, i] of wanted.entries()) {
      const status = receiving[at * RECEIVE_ROW_WORDS + RECEIVE_ROW.status]!;
      set(i, remainingMs > 0 ? (OUTCOME[status] ?? LOAD_STATUS.failed) : LOAD_STATUS.late);
    }
    // The holder unpins now instead of at the end of the ticket's life; that it hears of it is not needed.
    const done = control.request(member.control, PEER_PROTOCOL, encodeDone(grant.ticket), {
      deadlineMs: DONE_DEADLINE_MS,
    });
    done.catch(() => {});
  }
}

/** Outcome of a key that was not offered. */
function refusalOf(grant: PeerGrant, at: number): LoadStatus {
  const status = grant.rows[at * GRANT_ROW_WORDS + GRANT_ROW.status];
  return status === GRANT_STATUS.absent ? LOAD_STATUS.gone : LOAD_STATUS.failed;
}
