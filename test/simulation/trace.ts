import type { Timeline } from './timeline.ts';

/** What happened, in order, as a hash: two runs of a seed are the same if theirs is. */
export class Trace {
  #hash = 0x811c9dc5;
  readonly #timeline: Timeline;
  readonly #verbose: (line: string) => void;

  constructor(timeline: Timeline, verbose: (line: string) => void) {
    this.#timeline = timeline;
    this.#verbose = verbose;
  }

  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  note(what: string): void {
    const line = `${this.#timeline.nowMs().toFixed(3)} ${this.#timeline.fired} ${what}`;
    for (let i = 0; i < line.length; i++) this.#hash = Math.imul(this.#hash ^ line.charCodeAt(i), 0x01000193);
    this.#verbose(line);
  }
}
