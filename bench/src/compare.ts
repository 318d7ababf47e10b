import { medianSample, ratioOf, type Sample } from './rounds.ts';
import type { Result } from './scenario.ts';

/** `>= 0.97` or `<= 2`: the only two forms a target has. */
export function meets(value: number, target: string): boolean {
  const [sign, bound] = target.split(' ');
  const limit = Number(bound);
  if ((sign !== '>=' && sign !== '<=') || !Number.isFinite(limit)) throw new Error(`no target: ${target}`);
  return sign === '>=' ? value >= limit : value <= limit;
}

export interface Comparison {
  name: string;
  unit: string;
  against: string;
  target: string;
  /** Default `value`. */
  field?: 'value' | 'cpuSecondsPerGigabyte' | 'p50Us';
  note?: string;
}

/** The row that compares two lanes of the same rounds. */
export function compared(row: Comparison, ours: readonly Sample[], theirs: readonly Sample[]): Result {
  const field = row.field ?? 'value';
  const { ratio, spread } = ratioOf(ours, theirs, field);
  const our = medianSample(ours);
  const their = medianSample(theirs);
  return {
    name: row.name,
    value: our[field] ?? Number.NaN,
    unit: row.unit,
    against: row.against,
    ratio,
    target: row.target,
    met: row.target === '' ? null : meets(ratio, row.target),
    rival: their[field] ?? Number.NaN,
    rounds: ours.length,
    spread,
    ours: our,
    theirs: their,
    ...(row.note === undefined ? {} : { note: row.note }),
  };
}

/** The row of a figure with an absolute bound, or with none. */
export function absolute(
  row: Omit<Comparison, 'against' | 'field'>,
  value: number,
  rounds: number,
  ours?: Sample,
): Result {
  return {
    name: row.name,
    value,
    unit: row.unit,
    against: '',
    ratio: null,
    target: row.target,
    met: row.target === '' ? null : meets(value, row.target),
    rounds,
    ...(ours === undefined ? {} : { ours }),
    ...(row.note === undefined ? {} : { note: row.note }),
  };
}

/** The row of what could not be measured here. */
export function unmeasured(name: string, why: string): Result {
  return { name, value: Number.NaN, unit: '', against: '', ratio: null, target: '', met: null, note: why };
}
