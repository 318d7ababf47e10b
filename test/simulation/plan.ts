import { mulberry } from '../fixtures/seeded-random.ts';
import type { SimFaults } from '../fixtures/sim-network.ts';
import { drawFsFaults, type FsFaults, NO_FS_FAULTS } from './faults.ts';

/** Everything of a world that is drawn before it begins. */
export interface Plan {
  readonly seed: number;
  readonly nodes: readonly string[];
  readonly namespaces: number;
  /** Keys of each namespace. */
  readonly keys: number;
  readonly steps: number;
  readonly fs: FsFaults;
  readonly network: Partial<SimFaults>;
  readonly peerLoss: number;
  readonly peerCorrupt: number;
  /** Messages are lost or late: what is away may be there. */
  readonly isLossy: boolean;
  /** Nothing goes wrong by itself, only what is done to hosts. */
  readonly isCalm: boolean;
  readonly deletes: boolean;
  /** The service's host may lose power, and its whole database. */
  readonly cutsPower: boolean;
  readonly losesDatabase: boolean;
  readonly rebuildsAtEnd: boolean;
  readonly checkpointMs: number;
  readonly arenaUnits: number;
  readonly writeDeadlineMs: number;
  readonly ticketMs: number;
  /** A bug that is planted in what surrounds the product. */
  readonly plant: string | undefined;
}

/** Rates are mixed anew for each seed, most of them off: what always happens hides the rest. */
export function drawPlan(seed: number, plant?: string): Plan {
  const random = mulberry(Math.imul(seed, 0x9e3779b1) ^ 0x5eed);
  const is = (chance: number): boolean => random() < chance;
  const some = (chance: number, rate: number): number => (is(chance) ? rate * random() : 0);
  const isCalm = is(0.3);
  const deletes = is(0.5);
  const losesDatabase = is(0.3);
  const network: SimFaults = {
    delayMsMin: 0.1,
    delayMsMax: is(0.3) ? 20 * random() : 1,
    straggle: isCalm ? 0 : some(0.2, 0.05),
    straggleMs: 20_000 * random() ** 2,
    loseRequest: isCalm ? 0 : some(0.25, 0.05),
    loseAnswer: isCalm ? 0 : some(0.25, 0.05),
    duplicateRequest: isCalm ? 0 : some(0.25, 0.1),
  };
  const fs = isCalm ? { ...NO_FS_FAULTS, unsyncedMs: 50 } : drawFsFaults(random);
  return {
    seed,
    nodes: ['a', 'b', 'c'].slice(0, is(0.5) ? 2 : 3),
    namespaces: 1 + Math.floor(2 * random()),
    keys: 3 + Math.floor(5 * random()),
    steps: 20 + Math.floor(30 * random()),
    fs: { ...fs, syncsLie: plant === 'lying fsync' },
    network,
    peerLoss: isCalm ? 0 : some(0.3, 0.3),
    peerCorrupt: isCalm ? 0 : some(0.3, 0.3),
    isLossy: network.straggle + network.loseRequest + network.loseAnswer > 0,
    isCalm,
    deletes,
    cutsPower: is(0.5),
    losesDatabase,
    rebuildsAtEnd: is(0.4),
    checkpointMs: 2000 + 20_000 * random(),
    arenaUnits: 12 + Math.floor(16 * random()),
    writeDeadlineMs: is(0.5) ? 3_000 : 10_000,
    ticketMs: is(0.5) ? 500 : 5_000,
    plant,
  };
}
