import type { Startable } from '@libp2p/interface';
import {
  type Chance,
  type Clock,
  type ControlNetwork,
  invariant,
  type PeerName,
  RefillError,
} from '@refill/interface';
import type { LocalDirectory } from '../directory.ts';
import { drawNumber } from '../protocol/draw-number.ts';
import { METADATA_PROTOCOL, readRequestHead, startAnswer } from '../protocol/message.ts';
import { WordReader } from '../protocol/words.ts';
import { CommittedEnds } from './committed-ends.ts';
import { FillLeases } from './fill-leases.ts';
import { HANDLERS } from './handlers.ts';
import type { ServiceLease } from './node-lease.ts';
import { NodeLeases } from './node-leases.ts';
import { Reclaimer } from './reclaimer.ts';
import { Residency } from './residency.ts';
import type { MetadataServiceOptions, ServiceCore, ServiceCounters } from './service-core.ts';
import { tellChanges } from './tell-changes.ts';

/** How often leases, fills and what is to be cleaned are looked at. */
const TICK_MS = 250;
/** Parts of the residency table, of 1,024, that one tick cleans. */
const SWEEP_PARTS = 32;

export interface MetadataServiceParts {
  /** Started before the service and stopped after it. */
  directory: LocalDirectory;
  clock: Clock;
  chance: Pick<Chance, 'bytes'>;
  log: { error(format: string, ...args: unknown[]): void };
  /** Where requests come from; the handler is set at once, so before the network starts. May be absent. */
  control?: Pick<ControlNetwork, 'handle'>;
}

export interface ServiceStatus extends ServiceCounters {
  session: number;
  members: number;
  residentBlocks: number;
  residencyBytes: number;
  fillLeases: number;
}

/**
 * The metadata service: a directory for many nodes, and who they are. Everything it knows besides the directory is
 * soft: a restart costs the nodes one round of renewals.
 * @example
 * const service = createMetadataService({ directory, clock, chance, log, control });
 * await directory.start();
 * service.start();
 * await control.start();
 */
export interface MetadataService extends Startable {
  readonly status: ServiceStatus;
  /** One request of a member of this name, and its answer: what the network calls, and a node in the same process. */
  answer(from: PeerName, body: Uint8Array): Promise<Uint8Array>;
}

export function createMetadataService(
  parts: MetadataServiceParts,
  options: Partial<MetadataServiceOptions> = {},
): MetadataService {
  return new Service(parts, {
    leaseTtlMs: 10_000,
    membersMax: 4096,
    namesMax: 65_536,
    durableCommits: true,
    checkpointMs: 300_000,
    awaitsMax: 65_536,
    ...options,
  });
}

class Service implements MetadataService {
  readonly #core: ServiceCore;
  #cancelTick: (() => void) | undefined;
  #ticking: Promise<void> | undefined;
  #checkpointAtMs = 0;
  #isOpen = false;

  constructor(
    { directory, clock, chance, log, control }: MetadataServiceParts,
    options: MetadataServiceOptions,
  ) {
    const ends = new CommittedEnds(directory);
    const fills = new FillLeases(clock);
    const residency = new Residency();
    const counters = zeroCounters();
    const onEnd = (lease: ServiceLease): void => {
      counters.leasesEnded++;
      residency.retire(lease.slot);
      fills.endNode(lease);
    };
    const { leaseTtlMs: ttlMs, membersMax, namesMax } = options;
    const leases = new NodeLeases(
      { directory, clock, log, onEnd, committedEnd: (segment) => ends.of(segment) },
      { ttlMs, membersMax, namesMax },
    );
    const reclaimer = new Reclaimer({ directory, clock, leases: () => leases.all(), leaseTtlMs: ttlMs });
    const session = drawNumber(chance);
    directory.session = session;
    const soft = { ends, fills, residency, leases, reclaimer };
    this.#core = { directory, clock, log, options, counters, session, ...soft };
    control?.handle(METADATA_PROTOCOL, (from, body) => this.answer(from, body));
  }

  get status(): ServiceStatus {
    const { counters, leases, residency, fills, session } = this.#core;
    return {
      ...counters,
      session,
      members: leases.members.length,
      residentBlocks: residency.size,
      residencyBytes: residency.bytes,
      fillLeases: fills.size,
    };
  }

  start(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    const { leases, clock, options } = this.#core;
    leases.start();
    this.#checkpointAtMs = clock.nowMs() + options.checkpointMs;
    this.#arm();
  }

  /** Answers nobody any more. Leases are as they are: whoever starts next gives every node a whole life to renew. */
  async stop(): Promise<void> {
    this.#isOpen = false;
    this.#cancelTick?.();
    await this.#ticking;
  }

  async answer(from: PeerName, body: Uint8Array): Promise<Uint8Array> {
    if (!this.#isOpen) throw new RefillError('ERR_METADATA_UNAVAILABLE', 'the metadata service is not open');
    const core = this.#core;
    core.counters.requests++;
    const reader = new WordReader(body);
    const { type, known } = readRequestHead(reader);
    const handler = HANDLERS[type];
    if (handler === undefined) throw new RefillError('ERR_PROTOCOL', `message type ${type} is unknown`);
    const result = handler(core, { from, known, reader });
    const words = result instanceof Uint32Array ? result : await result;
    // After the work: what the requester learns of the catalogue is at least as new as the answer.
    const { flags, now, words: changes } = tellChanges(core, known);
    invariant(now.version >= known.version || flags !== 0, 'knowledge of the catalogue only grows');
    return startAnswer(flags, now, changes, words.length).words(words).finish();
  }

  #arm(): void {
    this.#cancelTick = this.#core.clock.after(TICK_MS, () => {
      this.#ticking = this.#tick().finally(() => {
        this.#ticking = undefined;
        if (this.#isOpen) this.#arm();
      });
    });
  }

  async #tick(): Promise<void> {
    const { leases, fills, residency, directory, clock, options, counters, log } = this.#core;
    await leases.expire();
    fills.expire();
    residency.sweep(SWEEP_PARTS);
    if (clock.nowMs() < this.#checkpointAtMs || !this.#isOpen) return;
    this.#checkpointAtMs = clock.nowMs() + options.checkpointMs;
    try {
      await directory.checkpoint();
      counters.checkpoints++;
    } catch (error) {
      log.error('no checkpoint was written: %o', error);
    }
  }
}

function zeroCounters(): ServiceCounters {
  return {
    requests: 0,
    keysLookedUp: 0,
    blocksCommitted: 0,
    fenced: 0,
    leasesEnded: 0,
    checkpoints: 0,
  };
}
