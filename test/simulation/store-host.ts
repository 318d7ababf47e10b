import type { ControlHandler, NodeSession, RegionId, StoreNode } from '@refill/interface';
import { controlChannel, createRemoteMetadata, type RemoteMetadata } from '@refill/metadata';
import {
  createArena,
  createSharedTier,
  createStoreNode,
  PEER_PROTOCOL,
  PeerReader,
  peerSources,
  type SharedTier,
} from '@refill/store';
import { SimControl } from '../fixtures/sim-control.ts';
import { bytesOf } from '../fixtures/sim-peer.ts';
import { chanceOf, SERVICE_PEER } from './chance.ts';
import { gatedControl, gatedTransport } from './gates.ts';
import { HostIo } from './host-io.ts';
import { SimProcess } from './sim-process.ts';
import type { World } from './world.ts';

const START_AGAIN_MS = 500;

/** One life of a node. */
export interface NodeLife {
  readonly host: StoreHost;
  readonly process: SimProcess;
  readonly io: HostIo;
  readonly control: SimControl;
  readonly transport: ReturnType<typeof gatedTransport>;
  readonly remote: RemoteMetadata;
  readonly tier: SharedTier;
  readonly node: StoreNode;
  readonly session: NodeSession;
  readonly startedMs: number;
  /** When it began to end, and when its process was gone. */
  endedMs: number;
  goneMs: number;
  /** The region of its client, made when first needed, and the places of it that were taken. */
  region: Promise<RegionId> | undefined;
  places: number;
}

export interface Place {
  readonly region: RegionId;
  readonly buffer: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** The first region of an engine. */
const REGION_BUFFER = 1;
const PLACES = 32;
const PLACE_BYTES = 16_384;

/** A host with a store node, whose life can end in every way. */
export class StoreHost {
  readonly name: string;
  life: NodeLife | undefined;
  /** Its mount hangs. */
  isHung = false;
  #process: SimProcess | undefined;
  #io: HostIo | undefined;
  #control: SimControl | undefined;
  #lastLife: NodeLife | undefined;
  #lives = 0;
  readonly #world: World;

  constructor(world: World, name: string) {
    this.#world = world;
    this.name = name;
  }

  get isStarted(): boolean {
    return this.#process !== undefined;
  }

  /** Starts, as often as it takes. */
  start(): void {
    if (this.#process !== undefined) return;
    const world = this.#world;
    const { timeline, fs } = world;
    const process = new SimProcess(timeline, `${this.name}/${++this.#lives}`);
    this.#process = process;
    const random = world.random(`io ${process.name}`);
    const arena = world.arena(world.plan.arenaUnits);
    const io = new HostIo({ timeline, process, fs, host: this.name, random, arena });
    io.isHung = this.isHung;
    this.#io = io;
    this.#boot(process, io).then(
      (life) => {
        if (process.state === 'dead') return;
        this.life = life;
        this.#lastLife = life;
        world.trace.note(`${process.name} is open under epoch ${life.remote.cluster.lease.epoch}`);
      },
      (error) => {
        if (process.state === 'dead') return;
        world.trace.note(`${process.name} did not start: ${(error as Error).message}`);
        this.kill();
        timeline.after(START_AGAIN_MS, () => this.start());
      },
    );
  }

  async #boot(process: SimProcess, io: HostIo): Promise<NodeLife> {
    const world = this.#world;
    const { network, peers, plan } = world;
    const clock = process;
    const chance = chanceOf(world.random(`chance ${process.name}`));
    const log = world.log(process.name);
    const own = new SimControl({ clock: process, network }, this.name);
    this.#control = own;
    const control = gatedControl(own, process);
    let answerPeer: ControlHandler | undefined;
    control.handle(PEER_PROTOCOL, (from, body) => {
      if (answerPeer === undefined) throw new Error('the node is not open yet');
      return answerPeer(from, body);
    });
    const transport = gatedTransport(peers.transport(`${this.name}:1`, bytesOf(io)), process);
    await transport.start();
    control.start();
    const remote = createRemoteMetadata(
      {
        channel: controlChannel(control, { peer: SERVICE_PEER, addresses: [] }),
        ...{ files: io, clock, chance, log },
      },
      { node: this.name, control: control.self, dataAddress: `${this.name}:1`, joinMs: 5_000 },
    );
    const { directory, cluster } = remote;
    io.mayRely = () => cluster.lease.isHeld;
    await cluster.start();
    const arena = createArena(io);
    const { epoch } = cluster.lease;
    const tier = createSharedTier(
      { io, directory, scratch: arena.scratch, clock, chance, log },
      { node: this.name, epoch, segmentBytes: 8 * 2 ** 20, writeDeadlineMs: plan.writeDeadlineMs },
    );
    const namespaceIdOf = (index: number): Uint8Array | undefined => directory.namespace(index)?.id;
    const reader = new PeerReader({ control, transport, clock, namespaceIdOf });
    const handle = (_protocol: string, its: ControlHandler): void => {
      answerPeer = its;
    };
    const late = { ...control, handle };
    const node = createStoreNode(
      {
        ...{ io, arena, directory, sharedTier: tier, cluster, clock, chance, log: log as never },
        peers: { control: late, transport, options: { ticketMs: plan.ticketMs } },
        peer: peerSources({ reader, cluster, clock, self: this.name }),
      },
      { nodeName: this.name, clusterId: 'sim', root: '/', version: '0', epoch, stopFlushMs: 5_000 },
    );
    await node.start();
    const startedMs = world.timeline.nowMs();
    const parts = { host: this, process, io, control: own, transport, remote, tier, node };
    return {
      ...parts,
      session: node.openSession(),
      startedMs,
      endedMs: Number.POSITIVE_INFINITY,
      goneMs: Number.POSITIVE_INFINITY,
      region: undefined,
      places: 0,
    };
  }

  /** Ends cleanly, within what its stop waits for, and starts anew. */
  restart(): void {
    const { life } = this;
    if (life?.process.state !== 'running') return;
    this.life = undefined;
    life.endedMs = this.#world.timeline.nowMs();
    const stopped = async (): Promise<void> => {
      await life.node.stop();
      await life.remote.cluster.stop();
    };
    const end = (): void => {
      if (this.#process !== life.process) return;
      this.kill();
      this.start();
    };
    stopped().then(end, end);
  }

  /** Dies. `power`: with its host, and what that had not synced. */
  kill({ power = false } = {}): void {
    const process = this.#process;
    if (process === undefined) return;
    const last = this.#lastLife;
    if (last !== undefined) {
      last.goneMs = this.#world.timeline.nowMs();
      last.endedMs = Math.min(last.endedMs, last.goneMs);
    }
    this.life = undefined;
    this.#lastLife = undefined;
    this.#process = undefined;
    process.kill();
    this.#control?.kill({ silent: power });
    this.#world.network.resume(this.name);
    this.#world.peers.kill(`${this.name}:1`, power ? 'silent' : 'reset');
    if (!power) return;
    this.#io!.hasPower = false;
    this.#world.fs.lose(this.name);
  }

  pause(): void {
    if (this.life === undefined) return;
    this.life.process.pause();
    this.#world.network.pause(this.name);
  }

  resume(): void {
    this.#process?.resume();
    this.#world.network.resume(this.name);
  }

  /** A place in the client's region that nothing was ever read to or put from; `undefined` when all are taken. */
  async takePlace(life: NodeLife): Promise<Place | undefined> {
    life.region ??= life.session.registerRegion({ path: 'region' }, PLACES * PLACE_BYTES);
    // Refused when the session closes meanwhile.
    const region = await life.region.catch(() => undefined);
    if (region === undefined || life.places === PLACES) return undefined;
    const offset = PLACE_BYTES * life.places++;
    const bytes = life.io.regionPanes(REGION_BUFFER)[0]!.subarray(offset, offset + PLACE_BYTES);
    return { region, buffer: REGION_BUFFER, offset, bytes };
  }

  setHung(isHung: boolean): void {
    this.isHung = isHung;
    if (this.#io !== undefined) this.#io.isHung = isHung;
  }
}
