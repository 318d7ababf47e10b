/**
 * Rounds on a noisy machine: everything that is compared runs back to back in each round, the order turns from
 * round to round, and a ratio is the median of the rounds' ratios. Absolute figures only inform.
 */

/** What one run of one lane gives. `value` is what is compared, in the unit of the row. */
export interface Sample {
  value: number;
  cpuSecondsPerGigabyte?: number;
  p50Us?: number;
  p99Us?: number;
  /** Page kind of the memory that the bytes moved through. */
  pages?: string;
}

export type Lanes = Record<string, (round: number) => Promise<Sample>>;
export type Samples<L extends Lanes> = { [name in keyof L]: Sample[] };

/** Runs every lane once a round, starting one lane later each round. */
export async function inTurn<L extends Lanes>(rounds: number, lanes: L): Promise<Samples<L>> {
  const names = Object.keys(lanes) as (keyof L)[];
  const samples = Object.fromEntries(names.map((name) => [name, [] as Sample[]])) as Samples<L>;
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(round + turn) % names.length]!;
      samples[name].push(await lanes[name]!(round));
    }
  }
  return samples;
}

/** Median; the mean of the middle two for an even count. `NaN` for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Value at a rank from 0 to 1. `NaN` for none. */
export function percentile(values: readonly number[], rank: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(rank * sorted.length))] ?? Number.NaN;
}

export interface Ratio {
  ratio: number;
  spread: readonly [number, number];
}

/** Ratio of two lanes: of `value`, or of another field of the samples. */
export function ratioOf(
  ours: readonly Sample[],
  theirs: readonly Sample[],
  field: 'value' | 'cpuSecondsPerGigabyte' | 'p50Us' = 'value',
): Ratio {
  if (ours.length !== theirs.length) throw new Error(`rounds differ: ${ours.length} and ${theirs.length}`);
  const ratios = ours.map(
    (sample, round) => (sample[field] ?? Number.NaN) / (theirs[round]![field] ?? Number.NaN),
  );
  return { ratio: median(ratios), spread: [Math.min(...ratios), Math.max(...ratios)] };
}

/** The sample of medians, field by field. */
export function medianSample(samples: readonly Sample[]): Sample {
  const result: Sample = { value: median(samples.map((sample) => sample.value)) };
  for (const field of ['cpuSecondsPerGigabyte', 'p50Us', 'p99Us'] as const) {
    const values = samples.map((sample) => sample[field]).filter((value) => value !== undefined);
    if (values.length > 0) result[field] = median(values);
  }
  const pages = samples.find((sample) => sample.pages !== undefined)?.pages;
  if (pages !== undefined) result.pages = pages;
  return result;
}
