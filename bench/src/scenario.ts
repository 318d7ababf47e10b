import type { Sample } from './rounds.ts';

/** One figure of the table: ours against a limit or a rival of the same run. */
export interface Result {
  /** Unique, stable: `cold-read/1MiB`. */
  name: string;
  /** Median of ours, in `unit`. */
  value: number;
  unit: string;
  /** What it is measured against, in words. */
  against: string;
  /** Median of the ratios ours/rival of each round; `null` where there is no rival or nothing was measured. */
  ratio: number | null;
  /** What shall be reached, for example `>= 0.97`. Empty for a figure that only informs. */
  target: string;
  /** `null` for a figure that only informs, or that could not be measured here. */
  met: boolean | null;
  /** Everything below is for the report only. */
  rival?: number;
  rounds?: number;
  /** Lowest and highest ratio of a round. */
  spread?: readonly [number, number];
  ours?: Sample;
  theirs?: Sample;
  note?: string;
}

/** What a scenario is given. Times are not limited by it, rounds and bytes are. */
export interface BenchContext {
  /** Directory on the file system under test; a scenario deletes what it puts there. */
  readonly dir: string;
  readonly rounds: number;
  /** Working set of disk scenarios: above every arena, below the space that a run may use. */
  readonly workingSetBytes: number;
  /** Arena of the node in scenarios that shall not hit DRAM. */
  readonly coldArenaBytes: number;
  readonly segmentBytes: number;
  /** File with a trace to replay, where one was given. */
  readonly trace?: string | undefined;
  /** Runs a program of `bench/native` and returns the object that it prints. */
  native(program: string, args: Record<string, string | number>): Promise<NativeOutput>;
  log(line: string): void;
}

/** JSON of a native program: numbers, and words such as the page kind. */
export type NativeOutput = Readonly<Record<string, number | string>>;

export interface Scenario {
  /** Name for `--only`. */
  readonly name: string;
  readonly title: string;
  run(context: BenchContext): Promise<Result[]>;
}

/** Something that the measurement needs is not on this machine; the message says what to install or change. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable';
}
