import type { Clock } from '@refill/interface';
import type { Timeline } from './timeline.ts';

/**
 * One life of a process, as everything outside sees it: timers, completions and messages reach it through `deliver`.
 * While it is paused (SIGSTOP) they wait and the world's clock goes on; once it is dead they reach nobody.
 */
export class SimProcess implements Clock {
  readonly name: string;
  state: 'running' | 'paused' | 'dead' = 'running';
  /** Milliseconds that it stood still. */
  #pausedMs = 0;
  #pausedAtMs = 0;
  readonly #timeline: Timeline;
  #held: (() => void)[] = [];

  constructor(timeline: Timeline, name: string) {
    this.#timeline = timeline;
    this.name = name;
  }

  get pausedMs(): number {
    return this.#pausedMs + (this.state === 'paused' ? this.#timeline.nowMs() - this.#pausedAtMs : 0);
  }

  nowMs(): number {
    return this.#timeline.nowMs();
  }

  wallMs(): number {
    return this.#timeline.wallMs();
  }

  after(delayMs: number, callback: () => void): () => void {
    let isCancelled = false;
    const cancel = this.#timeline.after(delayMs, () =>
      this.deliver(() => {
        if (!isCancelled) callback();
      }),
    );
    return () => {
      isCancelled = true;
      cancel();
    };
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  deliver(callback: () => void): void {
    if (this.state === 'running') callback();
    else if (this.state === 'paused') this.#held.push(callback);
  }

  /** What another party settles, as this process hears of it. */
  hold<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) =>
      promise.then(
        (value) => this.deliver(() => resolve(value)),
        (error) => this.deliver(() => reject(error)),
      ),
    );
  }

  pause(): void {
    if (this.state !== 'running') return;
    this.state = 'paused';
    this.#pausedAtMs = this.#timeline.nowMs();
  }

  /** What waited comes now, one after the other. */
  resume(): void {
    if (this.state !== 'paused') return;
    this.#pausedMs = this.pausedMs;
    this.state = 'running';
    for (const callback of this.#held.splice(0)) this.#timeline.after(0, () => this.deliver(callback));
  }

  kill(): void {
    this.state = 'dead';
    this.#held = [];
  }
}
