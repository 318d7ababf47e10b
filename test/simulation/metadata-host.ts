import type { ControlHandler } from '@refill/interface';
import {
  createDirectory,
  createMetadataService,
  type LocalDirectory,
  MemoryEngine,
  type MetadataService,
} from '@refill/metadata';
import { createArena, findUnknownSegments, rebuildDirectory, recoverSegments } from '@refill/store';
import { SimControl } from '../fixtures/sim-control.ts';
import { chanceOf, SERVICE_PEER } from './chance.ts';
import { HostIo } from './host-io.ts';
import { serviceWatch } from './service-watch.ts';
import { SimEngine } from './sim-engine.ts';
import { SimProcess } from './sim-process.ts';
import type { World } from './world.ts';

const ARENA_UNITS = 10;
const START_AGAIN_MS = 500;
const NAMES_SETTLE_MS = 3_000;

interface Life {
  process: SimProcess;
  io: HostIo;
  control: SimControl;
  directory: LocalDirectory | undefined;
  service: MetadataService | undefined;
}

/** The host of the metadata service. Its database outlives the process, what is unsynced in it not its power. */
export class MetadataHost {
  #database = new MemoryEngine();
  life: Life | undefined;
  /** Serves, and its directory is whole. */
  isServing = false;
  /** When the database was last lost. */
  lostAtMs = Number.NEGATIVE_INFINITY;
  isHung = false;
  #rebuildPending = false;
  #lives = 0;
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  get directory(): LocalDirectory | undefined {
    return this.isServing ? this.life?.directory : undefined;
  }

  /** Starts, as often as it takes: as `refill metadata` does, with a rebuild where the database lacks segments. */
  start(): void {
    const { timeline, fs, network } = this.#world;
    if (this.life !== undefined) return;
    const process = new SimProcess(timeline, `metadata/${++this.#lives}`);
    const io = new HostIo({
      ...{ timeline, process, fs, host: 'metadata' },
      random: this.#world.random(`io ${process.name}`),
      arena: this.#world.arena(ARENA_UNITS),
    });
    io.isHung = this.isHung;
    const control = new SimControl({ clock: process, network }, SERVICE_PEER);
    const life: Life = { process, io, control, directory: undefined, service: undefined };
    this.life = life;
    this.#boot(life).then(
      () => {
        if (this.life !== life) return;
        this.isServing = true;
        this.#world.disturbedAtMs = timeline.nowMs();
        this.#world.trace.note(`${process.name} serves`);
      },
      (error) => {
        if (this.life !== life) return;
        this.#world.trace.note(`${process.name} did not start: ${(error as Error).message}`);
        this.kill();
        timeline.after(START_AGAIN_MS, () => this.start());
      },
    );
  }

  async #boot(life: Life): Promise<void> {
    const { process, io, control } = life;
    const world = this.#world;
    const chance = chanceOf(world.random(`chance ${process.name}`));
    const engine = new SimEngine(this.#database, process, world.random(`engine ${process.name}`));
    const log = world.log(process.name);
    const shared = { clock: process, chance, log };
    const directory = createDirectory({ ...shared, engine, files: io });
    life.directory = directory;
    await directory.start();
    const scan = { io, directory, scratch: createArena(io).scratch, clock: process, log };
    // As `refill metadata` does; before anything was written there is nothing to wait for.
    const namesSettleMs = this.#lives > 1 ? NAMES_SETTLE_MS : 0;
    const lacks = this.#rebuildPending || (await findUnknownSegments(scan, { namesSettleMs })).length > 0;
    if (lacks) {
      this.#rebuildPending = true;
      const { segments, blocksRestored } = await rebuildDirectory(scan);
      this.#rebuildPending = false;
      this.lostAtMs = world.timeline.nowMs();
      world.history.rebuilt();
      world.trace.note(`rebuilt ${blocksRestored} blocks of ${segments} segments`);
    }
    const epoch = await directory.acquireEpoch('metadata');
    await recoverSegments(scan, { node: 'metadata', epoch });
    const handle = (protocol: string, handler: ControlHandler): void =>
      control.handle(protocol, serviceWatch(world, directory, handler));
    life.service = createMetadataService(
      { ...shared, directory, control: { handle } },
      { leaseTtlMs: 10_000, checkpointMs: world.plan.checkpointMs },
    );
    await life.service.start();
    control.start();
  }

  /** Ends cleanly: a checkpoint is written, which the next start takes for the whole index. */
  stop(): void {
    const { life } = this;
    if (life?.process.state !== 'running' || !this.isServing) return;
    this.isServing = false;
    this.#world.disturbedAtMs = Number.POSITIVE_INFINITY;
    life.control.stop();
    const stopped = async (): Promise<void> => {
      await life.service?.stop();
      await life.directory?.stop();
    };
    stopped().then(
      () => this.kill(),
      () => this.kill(),
    );
  }

  /** Stands still, and goes on. */
  pause(): void {
    if (this.life === undefined) return;
    this.#world.disturbedAtMs = Number.POSITIVE_INFINITY;
    this.life.process.pause();
    this.#world.network.pause(SERVICE_PEER);
  }

  resume(): void {
    if (this.life?.process.state !== 'paused') return;
    this.life.process.resume();
    this.#world.network.resume(SERVICE_PEER);
    this.#world.disturbedAtMs = this.#world.timeline.nowMs();
  }

  /** Dies. `power`: its host loses what its database had not synced. */
  kill({ power = false } = {}): void {
    const { life } = this;
    if (life === undefined) return;
    this.life = undefined;
    this.isServing = false;
    this.#world.disturbedAtMs = Number.POSITIVE_INFINITY;
    life.process.kill();
    life.control.kill();
    this.#world.network.resume(SERVICE_PEER);
    if (!power) return;
    life.io.hasPower = false;
    this.#world.fs.lose('metadata');
    const random = this.#world.random(`power ${life.process.name}`);
    this.#database.crash(Math.floor(random() * (this.#database.unsynced + 1)));
  }

  /** The database is gone, with its host's disk. `copyToo`: and what of it was on the shared file system. */
  lose({ copyToo = false } = {}): void {
    this.kill();
    if (copyToo) this.#world.fs.dropSmall();
    this.#database = new MemoryEngine();
    this.lostAtMs = this.#world.timeline.nowMs();
    this.#world.history.rebuilt();
  }
}
