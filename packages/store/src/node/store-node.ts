import {
  DEADLINE_MS_DEFAULT,
  KEYS_PER_CALL_MAX,
  KeyTable,
  type NodeSession,
  type NodeStatus,
  RefillError,
  RemovedKeys,
  SLOT_UNIT_BYTES,
  type StoreNode,
} from '@refill/interface';
import { DramTier } from '../arena/dram-tier.ts';
import { Regions } from '../arena/regions.ts';
import { namespaceFinder } from '../peer/namespace-finder.ts';
import { PeerService } from '../peer/peer-service.ts';
import { ReadSources } from '../source/read-sources.ts';
import { segmentSource } from '../source/segment-source.ts';
import { SpareSlots } from '../source/spare-slots.ts';
import { doneBy } from './deadline.ts';
import { DirectReads } from './direct-reads.ts';
import { Fills } from './fills.ts';
import { Histogram } from './histogram.ts';
import { joinCluster } from './join-cluster.ts';
import { LoadBlocks } from './load-blocks.ts';
import type { CompleteNodeOptions, NodeComponents, NodeCore, NodeOptions } from './node-parts.ts';
import { Session } from './session.ts';
import { createSessionState } from './session-state.ts';
import { statusOf } from './status.ts';
import { WriteBehind } from './write-behind.ts';

/** Deletions of others that a lookup may have to be compared with, at least: more than one answer tells. */
const REMOVED_KEYS_MAX = 4096;

/**
 * A store node of its parts. The engine must be started before (the arena is made of its panes); `start` and `stop`
 * start and stop the shared tier.
 */
export function createStoreNode(components: NodeComponents, options: NodeOptions): StoreNode {
  return new Node(components, options);
}

class Node implements StoreNode {
  readonly nodeName: string;
  readonly clusterId: string;
  readonly #core: NodeCore;
  readonly #sessions = new Set<NodeSession>();
  #nextSession = 1;
  #isOpen = false;
  #leave = (): void => {};
  #startedMs: number;

  constructor(components: NodeComponents, options: NodeOptions) {
    this.nodeName = options.nodeName;
    this.clusterId = options.clusterId;
    this.#core = createCore(components, options);
    this.#startedMs = components.clock.nowMs();
  }

  async start(): Promise<void> {
    if (this.#isOpen) return;
    const { io, tier, regions, sharedTier, spares, clock } = this.#core;
    const before = io.onRelease;
    io.onRelease = (buffer, offset, length) => {
      before?.(buffer, offset, length);
      if (buffer === 0) {
        tier.release(offset);
        spares.release(offset);
      } else regions.release(buffer);
    };
    await sharedTier.start();
    this.#leave = joinCluster(this.#core);
    this.#startedMs = clock.nowMs();
    this.#isOpen = true;
  }

  /**
   * In order: no new work; sessions end; what was committed is stored, as far as `stopFlushMs` allows; segments are
   * sealed; the shared tier stops. What is not stored by then is lost, as durability `memory` says.
   */
  async stop(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    const { behind, sharedTier, clock, options, log } = this.#core;
    for (const session of [...this.#sessions]) session.close();
    if (!(await doneBy(clock, clock.nowMs() + options.stopFlushMs, behind.drain()))) {
      log.error('stopped with %d bytes not stored', behind.backlogBytes);
    }
    behind.stop();
    this.#leave();
    await sharedTier.seal();
    await sharedTier.stop();
  }

  openSession(): NodeSession {
    if (!this.#isOpen) throw new RefillError('ERR_NODE_CLOSED', `node ${this.nodeName} is not open`);
    const session: NodeSession = new Session(createSessionState(this.#core, this.#nextSession++), () => {
      this.#sessions.delete(session);
    });
    this.#sessions.add(session);
    return session;
  }

  status(): NodeStatus {
    return statusOf(this.#core, this.#sessions.size, this.#startedMs);
  }
}

function createCore(components: NodeComponents, options: NodeOptions): NodeCore {
  const seed = components.chance.bytes(new Uint8Array(4));
  const hashSeed = new DataView(seed.buffer).getUint32(0);
  const tier = new DramTier(components.arena, hashSeed);
  const spares = new SpareSlots(components.arena.scratch);
  const regions = new Regions(components.io);
  const parts = {
    ...components,
    options: completeOptions(options, tier),
    tier,
    spares,
    sources: new ReadSources({
      clock: components.clock,
      shared: segmentSource(components.sharedTier),
      peer: components.peer ?? (() => undefined),
      slots: { spares, move: (from, to) => tier.moveSlot(from, to) },
    }),
    fills: new Fills(components.clock, hashSeed),
    regions,
    direct: new DirectReads(new KeyTable({ seed: hashSeed }), regions),
    counters: {
      dramHits: 0,
      dramBytes: 0,
      sharedHits: 0,
      sharedBytes: 0,
      keys: 0,
      misses: 0,
      late: 0,
      joins: 0,
    },
    dramLatency: new Histogram(),
    sharedLatency: new Histogram(),
    deletions: 0,
    removed: new RemovedKeys({ seed: hashSeed, keysMax: REMOVED_KEYS_MAX }),
    removals: 0,
  };
  // The two that act on the others get the whole, which has them as members.
  const core = parts as typeof parts & { loads: LoadBlocks; behind: WriteBehind };
  core.loads = new LoadBlocks(core);
  core.behind = new WriteBehind(core);
  if (components.peers !== undefined) {
    const { control, transport, options: bounds } = components.peers;
    // It registers itself with `control`.
    new PeerService({ control, transport, tier, namespaceOf: namespaceFinder(components.directory) }, bounds);
  }
  return core;
}

function completeOptions(options: NodeOptions, tier: DramTier): CompleteNodeOptions {
  const arenaBytes = tier.arena.allocator.units * SLOT_UNIT_BYTES;
  return {
    pinsPerSessionMax: 8 * KEYS_PER_CALL_MAX,
    reservationsPerSessionMax: 4 * KEYS_PER_CALL_MAX,
    reserveWaitMs: DEADLINE_MS_DEFAULT,
    loadDeadlineMs: DEADLINE_MS_DEFAULT,
    stopFlushMs: 30_000,
    behindBlocksMax: 256,
    behindBytesMax: 32 * 1024 * 1024,
    behindAgeMs: 20,
    behindGroupsMax: 4,
    backlogBytesMax: arenaBytes / 2,
    ...(Object.fromEntries(
      Object.entries(options).filter(([, value]) => value !== undefined),
    ) as unknown as NodeOptions),
  };
}
