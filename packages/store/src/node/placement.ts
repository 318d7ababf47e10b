import { type ClusterMember, KEY_WORDS, PEER_BLOCKS_MAX, type PutHints } from '@refill/interface';
import { decodeHeld, encodeHold, PEER_PROTOCOL, type PeerHeld } from '../peer/peer-messages.ts';
import type { NodeCore } from './node-parts.ts';

/** How long a member may take to read what it is asked to hold. */
const HOLD_DEADLINE_MS = 10_000;
/** Requests under way, and those that wait for their turn; beyond them hints are not honoured. */
const REQUESTS_MAX = 4;
const WAITING_MAX = 256;

interface Group {
  namespace: number;
  hints: PutHints;
  keys: number[];
}

interface Request {
  readonly member: ClusterMember;
  readonly namespace: number;
  readonly keys: Uint32Array;
  readonly count: number;
  readonly ttlMs: number;
}

/**
 * Honours the hints `node` and `replicas`: once blocks are stored, other members are asked to hold them. What they
 * answer is counted and nothing more; a member that cannot or will not costs a copy, not a block.
 */
export class Placement {
  readonly #core: NodeCore;
  /** Groups of blocks that were stored just now, by the hints of their put. */
  readonly #groups = new Map<PutHints, Group>();
  readonly #waiting: Request[] = [];
  #underWay = 0;
  /** Free memory of members, as they said last. */
  readonly #freeBytes = new Map<string, number>();
  #turn = 0;

  constructor(core: NodeCore) {
    this.#core = core;
  }

  /** Requests that have not been answered. */
  get pending(): number {
    return this.#underWay + this.#waiting.length;
  }

  /** A block of DRAM is on the shared file system now. */
  stored(id: number): void {
    const { tier } = this.#core;
    const hints = tier.notes.hintsOf(tier.columns.note[id]!);
    if (hints === undefined) return;
    const key = new Uint32Array(KEY_WORDS);
    tier.copyKey(id, key, 0);
    this.storedKey(tier.namespaceOf(id), key, 0, hints);
  }

  /** The same, of the block under a key. */
  storedKey(namespace: number, keys: Uint32Array, at: number, hints: PutHints): void {
    const group = this.#groups.get(hints) ?? { namespace, hints, keys: [] };
    this.#groups.set(hints, group);
    for (let word = 0; word < KEY_WORDS; word++) group.keys.push(keys[at + word]!);
  }

  /** Asks for those that were stored since. */
  send(): void {
    if (this.#groups.size === 0) return;
    const { hintCounters } = this.#core;
    for (const { namespace, hints, keys } of this.#groups.values()) {
      const all = Uint32Array.from(keys);
      const count = all.length / KEY_WORDS;
      const { members, lacking } = this.#membersFor(hints);
      hintCounters.unplaced += lacking * count;
      for (const member of members) {
        for (let from = 0; from < count; from += PEER_BLOCKS_MAX) {
          const part = all.subarray(from * KEY_WORDS, (from + PEER_BLOCKS_MAX) * KEY_WORDS);
          const request = { member, namespace, keys: part, count: part.length / KEY_WORDS };
          if (this.#waiting.length >= WAITING_MAX) hintCounters.unplaced += request.count;
          else this.#waiting.push({ ...request, ttlMs: hints.ttlMs ?? 0 });
        }
      }
    }
    this.#groups.clear();
    this.#go();
  }

  /** Members that may be asked to hold blocks, those with most free memory first; equals take turns. */
  candidates(): ClusterMember[] {
    const { cluster, options } = this.#core;
    const others = (cluster?.members ?? []).filter(
      ({ node, state }) => node !== options.nodeName && state === 'live',
    );
    const turn = others.length === 0 ? 0 : this.#turn++ % others.length;
    const turned = [...others.slice(turn), ...others.slice(0, turn)];
    // Who was never asked is taken to have room.
    const freeOf = ({ node }: ClusterMember): number => this.#freeBytes.get(node) ?? Number.MAX_SAFE_INTEGER;
    return turned.sort((a, b) => freeOf(b) - freeOf(a));
  }

  /** Asks one member; rejects as `ControlNetwork.request` does. */
  async ask(
    member: ClusterMember,
    namespace: number,
    keys: Uint32Array,
    count: number,
    ttlMs: number,
  ): Promise<PeerHeld> {
    const { peers, directory, hintCounters } = this.#core;
    const namespaceId = directory.namespace(namespace)?.id;
    if (peers === undefined || namespaceId === undefined) return { held: 0, refused: count, freeBytes: 0 };
    hintCounters.offered += count;
    const body = encodeHold({ namespaceId, keys, count, ttlMs });
    const options = { deadlineMs: HOLD_DEADLINE_MS };
    const answer = await peers.control.request(member.control, PEER_PROTOCOL, body, options);
    const held = decodeHeld(answer, count);
    this.#freeBytes.set(member.node, held.freeBytes);
    hintCounters.placed += held.held;
    return held;
  }

  /** The named member first, then others until there are as many as were asked for. */
  #membersFor({ node, replicas = 1 }: PutHints): { members: ClusterMember[]; lacking: number } {
    const { options } = this.#core;
    const candidates = this.candidates();
    const isOther = node !== undefined && node !== options.nodeName;
    const named = isOther ? candidates.filter((member) => member.node === node) : [];
    const wanted = Math.max(isOther ? 1 : 0, replicas - 1);
    const rest = candidates.filter((member) => member.node !== node);
    const members = [...named, ...rest.slice(0, Math.max(0, replicas - 1 - named.length))];
    return { members, lacking: Math.max(0, wanted - members.length) };
  }

  #go(): void {
    while (this.#underWay < REQUESTS_MAX) {
      const request = this.#waiting.shift();
      if (request === undefined) return;
      this.#underWay++;
      this.ask(request.member, request.namespace, request.keys, request.count, request.ttlMs)
        .catch((error: Error) => {
          const { log } = this.#core;
          log.trace('%s was asked to hold %d blocks: %s', request.member.node, request.count, error.message);
        })
        .finally(() => {
          this.#underWay--;
          this.#go();
        });
    }
  }
}
