import type { Logger } from '@libp2p/interface';
import type {
  BlockIO,
  Chance,
  Clock,
  Cluster,
  ControlNetwork,
  Directory,
  HintCounters,
  PeerTransport,
  RemovedKeys,
} from '@refill/interface';
import type { Arena } from '../arena/arena.ts';
import type { DramTier } from '../arena/dram-tier.ts';
import type { Regions } from '../arena/regions.ts';
import type { NvmeTier } from '../nvme/nvme-tier.ts';
import type { PeerServiceOptions } from '../peer/peer-service.ts';
import type { SharedTier } from '../shared-tier.ts';
import type { BlockSource, SourceTier } from '../source/block-source.ts';
import type { ReadSources } from '../source/read-sources.ts';
import type { SpareSlots } from '../source/spare-slots.ts';
import type { Demotion } from './demotion.ts';
import type { DirectReads } from './direct-reads.ts';
import type { Drain } from './drain.ts';
import type { Expiry } from './expiry.ts';
import type { Fills } from './fills.ts';
import type { Histogram } from './histogram.ts';
import type { NodeDirectory } from './live-directory.ts';
import type { LoadBlocks } from './load-blocks.ts';
import type { Placement } from './placement.ts';
import type { WriteBehind } from './write-behind.ts';

/** What a store node is made of. Engine and directory are started before the node and stopped after it. */
export interface NodeComponents {
  io: BlockIO;
  /** Of `createArena(io)`: the shared tier takes its scratch memory from the same. */
  arena: Arena;
  directory: Directory;
  sharedTier: SharedTier;
  /** A local disk as second tier. The node starts and stops it; its engine is started before and stopped after. */
  nvme?: NvmeTier | undefined;
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

export interface HitCounter {
  hits: number;
  bytes: number;
}

/** Counters of the control flow; those of the shared tier are its own. */
export interface NodeCounters {
  /** Keys answered and their bytes, by the tier that these came from. */
  readonly dram: HitCounter;
  readonly nvme: HitCounter;
  readonly peer: HitCounter;
  readonly shared: HitCounter;
  keys: number;
  misses: number;
  late: number;
  joins: number;
}

/** Everything that the steps of a call share. */
export interface NodeCore extends Omit<NodeComponents, 'directory'> {
  /** Without the blocks whose life has ended; and with them. */
  readonly directory: NodeDirectory;
  readonly allOfDirectory: NodeDirectory;
  readonly options: CompleteNodeOptions;
  readonly tier: DramTier;
  readonly loads: LoadBlocks;
  /** Every read of a block that is not in DRAM goes through here. */
  readonly sources: ReadSources;
  readonly spares: SpareSlots;
  /** Who on this node computes which missing block. */
  readonly fills: Fills;
  readonly behind: WriteBehind;
  /** Copies blocks to the local disk, where there is one. */
  readonly demotion: Demotion | undefined;
  /** Lives of blocks. */
  readonly expiry: Expiry;
  /** Asks other members to hold blocks. */
  readonly placement: Placement;
  readonly drain: Drain;
  /** This node leaves, and takes nothing new. */
  draining: boolean;
  /** Those of `NodeStatus` that nobody else counts. */
  readonly hintCounters: Omit<HintCounters, 'withLife' | 'expired' | 'livesRefused'>;
  readonly regions: Regions;
  /** Blocks that are being read straight into a region. */
  readonly direct: DirectReads;
  readonly counters: NodeCounters;
  readonly dramLatency: Histogram;
  /** How long loads took, by the tier of their source. */
  readonly loadLatency: Readonly<Record<SourceTier, Histogram>>;
  /** Counts starts and ends of deletions: a lookup that waited across one is made again. */
  deletions: number;
  /** What other nodes deleted lately, by the count of deletions heard: for lookups that were under way. */
  readonly removed: RemovedKeys;
  removals: number;
  /** Counts the lives of the directory, as this node heard of them: places of blocks are known in one of them. */
  placesLife: number;
}
