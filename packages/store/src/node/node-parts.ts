import type { Logger } from '@libp2p/interface';
import type {
  BlockIO,
  Chance,
  Clock,
  Cluster,
  ControlNetwork,
  Directory,
  PeerTransport,
  RemovedKeys,
} from '@refill/interface';
import type { Arena } from '../arena/arena.ts';
import type { DramTier } from '../arena/dram-tier.ts';
import type { Regions } from '../arena/regions.ts';
import type { PeerServiceOptions } from '../peer/peer-service.ts';
import type { SharedTier } from '../shared-tier.ts';
import type { BlockSource } from '../source/block-source.ts';
import type { ReadSources } from '../source/read-sources.ts';
import type { SpareSlots } from '../source/spare-slots.ts';
import type { DirectReads } from './direct-reads.ts';
import type { Fills } from './fills.ts';
import type { Histogram } from './histogram.ts';
import type { LoadBlocks } from './load-blocks.ts';
import type { WriteBehind } from './write-behind.ts';

/** What a store node is made of. Engine and directory are started before the node and stopped after it. */
export interface NodeComponents {
  io: BlockIO;
  /** Of `createArena(io)`: the shared tier takes its scratch memory from the same. */
  arena: Arena;
  directory: Directory;
  sharedTier: SharedTier;
  /** Who else is there and who holds what. Started before the node, stopped after it. Default: this node is alone. */
  cluster?: Cluster | undefined;
  /** Where else blocks may be read from: the memory of the member with a slot (`ClusterMember`). Default nowhere. */
  peer?: ((slot: number) => BlockSource | undefined) | undefined;
  /** Lets other members read what is in DRAM. Both are started after the node is made; the transport stops before the engine. */
  peers?: { control: ControlNetwork; transport: PeerTransport; options?: PeerServiceOptions } | undefined;
  clock: Clock;
  chance: Chance;
  log: Logger;
}

/** Bounds and identity of a node; numbers have the defaults below. */
export interface NodeOptions {
  nodeName: string;
  clusterId: string;
  /** Shown in the status. */
  root: string;
  version: string;
  epoch: number;
  /** Pins, reservations and calls in flight that one session may hold. */
  pinsPerSessionMax?: number;
  reservationsPerSessionMax?: number;
  /** How long `reserve` waits for write-behind to make room. */
  reserveWaitMs?: number;
  /** Least deadline of a read into the arena: a waiter may leave earlier, the block arrives for the next one. */
  loadDeadlineMs?: number;
  /** How long `stop` waits for write-behind. */
  stopFlushMs?: number;
  /** Write-behind: a group leaves when it has so many blocks or bytes, or when its oldest block is so old. */
  behindBlocksMax?: number;
  behindBytesMax?: number;
  behindAgeMs?: number;
  /** Groups under way at a time. */
  behindGroupsMax?: number;
  /** Bytes committed to memory and not stored, above which `reserve` waits; default half the arena. */
  backlogBytesMax?: number;
}

export type CompleteNodeOptions = Required<NodeOptions>;

/** Counters of the control flow; those of the shared tier are its own. */
export interface NodeCounters {
  dramHits: number;
  dramBytes: number;
  sharedHits: number;
  sharedBytes: number;
  keys: number;
  misses: number;
  late: number;
  joins: number;
}

/** Everything that the steps of a call share. */
export interface NodeCore extends NodeComponents {
  readonly options: CompleteNodeOptions;
  readonly tier: DramTier;
  readonly loads: LoadBlocks;
  /** Every read of a block that is not in DRAM goes through here. */
  readonly sources: ReadSources;
  readonly spares: SpareSlots;
  /** Who on this node computes which missing block. */
  readonly fills: Fills;
  readonly behind: WriteBehind;
  readonly regions: Regions;
  /** Blocks that are being read straight into a region. */
  readonly direct: DirectReads;
  readonly counters: NodeCounters;
  readonly dramLatency: Histogram;
  readonly sharedLatency: Histogram;
  /** Counts starts and ends of deletions: a lookup that waited across one is made again. */
  deletions: number;
  /** What other nodes deleted lately, by the count of deletions heard: for lookups that were under way. */
  readonly removed: RemovedKeys;
  removals: number;
}
