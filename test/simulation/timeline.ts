import type { Clock } from '@refill/interface';

interface Timer {
  readonly atMs: number;
  readonly order: number;
  callback: (() => void) | undefined;
}

/**
 * The one clock and scheduler of a simulated world. Timers fire in the order of time, and of their making where times
 * are equal; in between everything runs that waits for promises only. Nothing else makes anything happen, so that a
 * seed replays bit for bit.
 */
export class Timeline implements Clock {
  /** Timers that have fired. */
  fired = 0;
  #nowMs = 0;
  #made = 0;
  /** A binary heap: the next timer is the first. */
  readonly #heap: Timer[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer: Timer = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#made++, callback };
    this.#push(timer);
    return () => {
      timer.callback = undefined;
    };
  }

  /** Lets `ms` pass. */
  async run(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await settled();
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > endMs) break;
      this.#pop();
      const { callback } = next;
      if (callback === undefined) continue;
      this.#nowMs = next.atMs;
      this.fired++;
      callback();
      await settled();
    }
    this.#nowMs = endMs;
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let at = heap.push(timer) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(timer, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** An immediate comes after every promise that is settled by then: without threads and files there is nothing else. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
