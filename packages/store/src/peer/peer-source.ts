import type { Clock, ClusterMember } from '@refill/interface';
import { LOAD_ROW } from '../shared-tier.ts';
import type { BlockSource } from '../source/block-source.ts';
import type { PeerReader } from './peer-reader.ts';

/** What of `Cluster` it uses. */
export interface MemberList {
  member(slot: number): ClusterMember | undefined;
}

export interface PeerSourcesParts {
  reader: Pick<PeerReader, 'load' | 'greet'>;
  cluster: MemberList;
  clock: Pick<Clock, 'nowMs'>;
  /** Name of this node, which does not read from itself. */
  self: string;
}

/** A member that could not be reached is tried again after so long. */
const GREET_AGAIN_MS = 2_000;

/** What is known of the way to one member. */
interface Way {
  readonly source: BlockSource;
  readonly peer: string;
  isOpen: boolean;
  isOpening: boolean;
  triedAtMs: number;
}

/**
 * `NodeComponents.peer`: the source that reads from the memory of the member with a slot. `undefined` when there is no
 * such member or it is this one, and until the way to it is open, which is seen to at once: the patience of a read is
 * shorter than a handshake. A slot is never another node's, so that its source is made once.
 */
export function peerSources({
  reader,
  cluster,
  clock,
  self,
}: PeerSourcesParts): (slot: number) => BlockSource | undefined {
  const ways = new Map<number, Way>();
  const open = (way: Way, member: ClusterMember): void => {
    way.isOpening = true;
    way.triedAtMs = clock.nowMs();
    const settle = (isOpen: boolean) => (): void => {
      way.isOpen = isOpen;
      way.isOpening = false;
    };
    reader.greet(member).then(settle(true), settle(false));
  };
  return (slot) => {
    const member = cluster.member(slot);
    if (member === undefined || member.node === self) {
      ways.delete(slot);
      return undefined;
    }
    let way = ways.get(slot);
    // Another key is another incarnation, to which there is no connection yet.
    if (way === undefined || way.peer !== member.control.peer) {
      way = {
        source: sourceOf(reader, cluster, member, slot),
        peer: member.control.peer,
        isOpen: false,
        isOpening: false,
        triedAtMs: Number.NEGATIVE_INFINITY,
      };
      ways.set(slot, way);
    }
    if (way.isOpen) return way.source;
    if (!way.isOpening && clock.nowMs() - way.triedAtMs >= GREET_AGAIN_MS) open(way, member);
    return undefined;
  };
}

function sourceOf(
  reader: Pick<PeerReader, 'load'>,
  cluster: MemberList,
  member: ClusterMember,
  slot: number,
): BlockSource {
  return {
    name: `peer:${member.node}`,
    tier: 'peer',
    // A block that is here already, in a region, is copied from there.
    mayHold: (rows, row) =>
      rows[row + LOAD_ROW.sourceBuffer] === 0 &&
      (isHolder(rows[row + LOAD_ROW.holdersLo]!, slot) || isHolder(rows[row + LOAD_ROW.holdersHi]!, slot)),
    // Its addresses may have changed with its epoch.
    load: (rows, count, deadlineMs) => reader.load(cluster.member(slot) ?? member, rows, count, deadlineMs),
  };
}

function isHolder(word: number, slot: number): boolean {
  return (word & 0xffff) === slot || word >>> 16 === slot;
}
