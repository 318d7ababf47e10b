import {
  type BlockIO,
  DEADLINE_MS_DEFAULT,
  type DrainStatus,
  KEYS_PER_CALL_MAX,
  KeyTable,
  type NodeSession,
  type NodeStatus,
  RefillError,
  RemovedKeys,
  SLOT_UNIT_BYTES,
  type StoreNode,
} from '@refill/interface';
import { BLOCK_STATE } from '../arena/block-columns.ts';
import { DramTier } from '../arena/dram-tier.ts';
import { Regions } from '../arena/regions.ts';
import { namespaceFinder } from '../peer/namespace-finder.ts';
import { PeerService } from '../peer/peer-service.ts';
import { ReadSources } from '../source/read-sources.ts';
import { segmentSource } from '../source/segment-source.ts';
import { SpareSlots } from '../source/spare-slots.ts';
import { buryExpired } from './bury-expired.ts';
import { doneBy } from './deadline.ts';
import { Demotion } from './demotion.ts';
import { DirectReads } from './direct-reads.ts';
import { Drain } from './drain.ts';
import { Expiry } from './expiry.ts';
import { Fills } from './fills.ts';
import { Histogram } from './histogram.ts';
import { Holds } from './hold.ts';
import { joinCluster } from './join-cluster.ts';
import { LiveDirectory } from './live-directory.ts';
import { LoadBlocks } from './load-blocks.ts';
import type { CompleteNodeOptions, NodeComponents, NodeCore, NodeOptions } from './node-parts.ts';
import { Placement } from './placement.ts';
import { Session } from './session.ts';
import { createSessionState, type SessionState } from './session-state.ts';
import { statusOf } from './status.ts';
import { WriteBehind } from './write-behind.ts';

/** Deletions of others that a lookup may have to be compared with, at least: more than one answer tells. */
const REMOVED_KEYS_MAX = 4096;
/** How long a stopping node waits for its local disk, which holds copies only. */
const NVME_STOP_MS = 10_000;

/**
 * A store node of its parts. The engine must be started before (the arena is made of its panes); `start` and `stop`
 * start and stop the shared tier and the local disk.
 */
export function createStoreNode(components: NodeComponents, options: NodeOptions): StoreNode {
  return new Node(components, options);
}

class Node implements StoreNode {
  readonly nodeName: string;
  readonly clusterId: string;
  readonly #core: NodeCore;
  readonly #sessions = new Map<NodeSession, SessionState>();
  #nextSession = 1;
  #isOpen = false;
  #leave = (): void => {};
  #startedMs: number;

  constructor(components: NodeComponents, options: NodeOptions) {
    this.nodeName = options.nodeName;
    this.clusterId = options.clusterId;
    this.#core = createCore(components, options, () => {
      let reservations = 0;
      for (const state of this.#sessions.values()) reservations += state.reservations.total;
      return reservations;
    });
    this.#startedMs = components.clock.nowMs();
  }

  async start(): Promise<void> {
    if (this.#isOpen) return;
    const { io, tier, regions, sharedTier, nvme, spares, clock } = this.#core;
    const before = io.onRelease;
    const release: BlockIO['onRelease'] = (buffer, offset) => {
      if (buffer === 0) {
        tier.release(offset);
        spares.release(offset);
      } else regions.release(buffer);
    };
    io.onRelease = (buffer, offset, length) => {
      before?.(buffer, offset, length);
      release(buffer, offset, length);
    };
    await sharedTier.start();
    if (nvme !== undefined) {
      nvme.onRelease = release;
      nvme.start();
    }
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
    const { behind, demotion, nvme, sharedTier, clock, options, log, expiry } = this.#core;
    for (const session of [...this.#sessions.keys()]) session.close();
    expiry.stop();
    if (!(await doneBy(clock, clock.nowMs() + options.stopFlushMs, behind.drain()))) {
      log.error('stopped with %d bytes not stored', behind.backlogBytes);
    }
    behind.stop();
    this.#leave();
    demotion?.stop();
    const nvmeStopped = nvme?.stop(NVME_STOP_MS);
    await sharedTier.seal();
    await sharedTier.stop();
    await nvmeStopped;
  }

  openSession(): NodeSession {
    if (!this.#isOpen) throw new RefillError('ERR_NODE_CLOSED', `node ${this.nodeName} is not open`);
    const state = createSessionState(this.#core, this.#nextSession++);
    const session: NodeSession = new Session(state, () => {
      this.#sessions.delete(session);
    });
    this.#sessions.set(session, state);
    return session;
  }

  get onDrained(): (() => void) | undefined {
    return this.#core.drain.onComplete;
  }

  set onDrained(callback: (() => void) | undefined) {
    this.#core.drain.onComplete = callback;
  }

  async drain(options: { hotBytes: number; deadlineMs: number; stay?: boolean }): Promise<DrainStatus> {
    if (!this.#isOpen) throw new RefillError('ERR_NODE_CLOSED', `node ${this.nodeName} is not open`);
    return this.#core.drain.run(options);
  }

  status(): NodeStatus {
    return statusOf(this.#core, this.#sessions.size, this.#startedMs);
  }
}

function createCore(components: NodeComponents, options: NodeOptions, reservations: () => number): NodeCore {
  const seed = components.chance.bytes(new Uint8Array(4));
  const hashSeed = new DataView(seed.buffer).getUint32(0);
  const tier = new DramTier(components.arena, hashSeed);
  const spares = new SpareSlots(components.arena.scratch);
  const regions = new Regions(components.io);
  const loadLatency = { nvme: new Histogram(), peer: new Histogram(), shared: new Histogram() };
  const expiry: Expiry = new Expiry({
    clock: components.clock,
    seed: hashSeed,
    log: components.log,
    drop: (namespace, keys, at) => {
      const id = tier.find(namespace, keys, at);
      if (id >= 0 && tier.columns.state[id] !== BLOCK_STATE.reserved) tier.drop(id);
    },
    bury: (namespace, keys, count) => buryExpired(core, namespace, keys, count),
  });
  const parts = {
    ...components,
    directory: new LiveDirectory(components.directory, expiry),
    allOfDirectory: components.directory,
    expiry,
    draining: false,
    hintCounters: {
      ...{ pinned: 0, pinsRefused: 0, offered: 0, placed: 0, unplaced: 0 },
      ...{ holdsAsked: 0, held: 0, holdsRefused: 0 },
    },
    options: completeOptions(options, tier),
    tier,
    spares,
    sources: new ReadSources({
      clock: components.clock,
      shared: segmentSource(components.sharedTier),
      nvme: components.nvme?.source,
      peer: components.peer ?? (() => undefined),
      slots: { spares, move: (from, to) => tier.moveSlot(from, to) },
      onLoad: (source, elapsedMs) => loadLatency[source].record(elapsedMs),
    }),
    fills: new Fills(components.clock, hashSeed),
    regions,
    direct: new DirectReads(new KeyTable({ seed: hashSeed }), regions),
    counters: {
      dram: { hits: 0, bytes: 0 },
      nvme: { hits: 0, bytes: 0 },
      peer: { hits: 0, bytes: 0 },
      shared: { hits: 0, bytes: 0 },
      keys: 0,
      misses: 0,
      late: 0,
      joins: 0,
    },
    dramLatency: new Histogram(),
    loadLatency,
    deletions: 0,
    removed: new RemovedKeys({ seed: hashSeed, keysMax: REMOVED_KEYS_MAX }),
    removals: 0,
    placesLife: 0,
  };
  // Those that act on the others get the whole, which has them as members.
  const core = parts as typeof parts & {
    loads: LoadBlocks;
    behind: WriteBehind;
    demotion: Demotion | undefined;
    placement: Placement;
    drain: Drain;
  };
  core.loads = new LoadBlocks(core);
  core.behind = new WriteBehind(core);
  core.demotion = components.nvme && new Demotion(core, components.nvme);
  core.placement = new Placement(core);
  core.drain = new Drain({ core, reservations });
  if (components.peers !== undefined) {
    const { control, transport, options: bounds } = components.peers;
    const holds = new Holds(core);
    const namespaceOf = namespaceFinder(components.directory);
    const hold: Holds['hold'] = (namespace, message) => holds.hold(namespace, message);
    // It registers itself with `control`.
    new PeerService({ control, transport, tier, namespaceOf, hold }, bounds);
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
