import { mulberry } from '../fixtures/seeded-random.ts';
import { type SimFaults, SimNetwork } from '../fixtures/sim-network.ts';
import { SimPeerNet } from '../fixtures/sim-peer.ts';
import { chanceOf, SERVICE_PEER } from './chance.ts';
import { type FsFaults, NO_FS_FAULTS } from './faults.ts';
import { History } from './history.ts';
import { createLog } from './log.ts';
import { MetadataHost } from './metadata-host.ts';
import type { Pending } from './operation.ts';
import type { HeldFill } from './others.ts';
import type { Plan } from './plan.ts';
import { SharedFs } from './shared-fs.ts';
import { StoreHost } from './store-host.ts';
import { Timeline } from './timeline.ts';
import { Trace } from './trace.ts';

const ARENA_UNIT_BYTES = 65_536;

/** A whole cluster in one process: hosts, what is between them, and what is known of what they were asked. */
export class World {
  readonly seed: number;
  readonly plan: Plan;
  readonly timeline = new Timeline();
  readonly trace: Trace;
  readonly violations: string[] = [];
  readonly faults: FsFaults;
  readonly fs: SharedFs;
  readonly network: SimNetwork;
  readonly peers: SimPeerNet;
  readonly history: History;
  readonly metadata: MetadataHost;
  readonly stores: readonly StoreHost[];
  /** Pairs of peers between which nothing passes, for the transport of blocks. */
  readonly cuts = new Set<string>();
  /** Nothing new goes wrong any more. */
  isEnding = false;
  /** Operations of clients that have not ended. */
  readonly pending = new Set<Pending>();
  /** Fill leases that somebody may hold. */
  readonly fills = new Set<HeldFill>();
  /** Last time at which something kept a node from the service; `Infinity` as long as it does. */
  disturbedAtMs = 0;
  readonly #arenas: Uint8Array[] = [];

  constructor(plan: Plan, verbose: (line: string) => void = () => {}) {
    this.plan = plan;
    this.seed = plan.seed;
    this.trace = new Trace(this.timeline, verbose);
    this.faults = { ...plan.fs };
    const { timeline } = this;
    const report = this.report;
    this.history = new History(this);
    this.fs = new SharedFs({ clock: timeline, random: this.random('fs'), faults: this.faults, report });
    const unit = this.random('network');
    this.network = new SimNetwork({ clock: timeline, chance: { unit } }, plan.network);
    this.peers = new SimPeerNet({
      clock: timeline,
      chance: chanceOf(unit),
      link: (from, to) => (this.#isSilent(from, to) ? 'silent' : 'up'),
      lossRate: plan.peerLoss,
      corruptRate: plan.peerCorrupt,
      bugs: { ticketsNeverExpire: plan.plant === 'ticket without expiry' },
    });
    this.metadata = new MetadataHost(this);
    this.stores = plan.nodes.map((name) => new StoreHost(this, name));
  }

  readonly report = (violation: string): void => {
    if (this.violations.length < 20) this.violations.push(violation);
    this.trace.note(`VIOLATION ${violation}`);
  };

  /** Numbers of a stream of its own, so that what one part draws does not shift the others. */
  random(stream: string): () => number {
    let mixed = this.seed >>> 0;
    for (let i = 0; i < stream.length; i++) mixed = Math.imul(mixed ^ stream.charCodeAt(i), 0x01000193);
    return mulberry(mixed);
  }

  log(name: string): ReturnType<typeof createLog> {
    return createLog(name, this.report);
  }

  /** Memory of a process; never another's in this world, for late I/O may still look at it. */
  arena(units: number): Uint8Array {
    const whole = pooled.pop() ?? new Uint8Array(ARENA_UNITS_MAX * ARENA_UNIT_BYTES);
    const bytes = whole.subarray(0, units * ARENA_UNIT_BYTES);
    this.#arenas.push(bytes);
    return bytes;
  }

  /** Nothing of this world runs on: its memory may serve the next. */
  end(): void {
    for (const bytes of this.#arenas.splice(0)) {
      bytes.fill(0);
      pooled.push(new Uint8Array(bytes.buffer));
    }
  }

  /** Nothing passes between two hosts, both ways. */
  cut(one: string, other: string): void {
    this.network.partition([one], [other]);
    this.cuts.add(`${one} ${other}`);
    this.cuts.add(`${other} ${one}`);
    if (one === SERVICE_PEER || other === SERVICE_PEER) this.disturbedAtMs = Number.POSITIVE_INFINITY;
  }

  heal(): void {
    this.network.heal();
    this.cuts.clear();
    this.disturbedAtMs = this.timeline.nowMs();
  }

  /** From here on nothing goes wrong by itself. */
  calm(): void {
    Object.assign(this.faults, { ...NO_FS_FAULTS, syncsLie: this.faults.syncsLie });
    const quiet: SimFaults = { ...this.network.faults, loseRequest: 0, loseAnswer: 0, duplicateRequest: 0 };
    Object.assign(this.network.faults, { ...quiet, straggle: 0 });
    Object.assign(this.peers.options, { lossRate: 0, corruptRate: 0 });
    this.heal();
  }

  #isSilent(from: string, to: string): boolean {
    const [a, b] = [from.split(':')[0]!, to.split(':')[0]!];
    if (this.cuts.has(`${a} ${b}`)) return true;
    return this.stores.some(
      ({ name, life }) => (name === a || name === b) && life?.process.state === 'paused',
    );
  }
}

const ARENA_UNITS_MAX = 32;
/** Memory of worlds that have ended, zeroed. */
const pooled: Uint8Array[] = [];
