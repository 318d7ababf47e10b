export interface Simulation {
  folder: string;
  remove(): void;
}

export interface SimulatedSeed {
  seed: number;
  hash: string;
  violations: string[];
}

export function makeSimulation(): Simulation;

/** Breaks texts of the sources of a simulation; the answer mends them. */
export function plant(
  simulation: Simulation,
  edits: readonly { name: string; package: string; find: string; replace: string }[],
): () => void;

export function simulateSeeds(
  simulation: Simulation,
  options: {
    from: number;
    seeds: number;
    lanes?: number;
    planted?: string | undefined;
    isGate?: boolean;
    isVerbose?: boolean;
    onOutcome?: (outcome: SimulatedSeed) => void;
  },
): Promise<{ seeds: number; fired: number; virtualMs: number; failures: SimulatedSeed[] }>;
