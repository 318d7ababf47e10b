import type { Logger } from '@libp2p/interface';

/**
 * Steps to undo, in reverse order. `AsyncDisposableStack` of later Node versions, with what a node needs besides:
 * one step that fails is logged and does not keep the others from running.
 */
export class Unwind {
  readonly #steps: { name: string; undo: () => unknown }[] = [];
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  push(name: string, undo: () => unknown): void {
    this.#steps.push({ name, undo });
  }

  /** Undoes everything once. Answers the first error, when there was one. */
  async run(): Promise<unknown> {
    let first: unknown;
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step.undo();
      } catch (error) {
        first ??= error;
        this.#log.error('stopping %s: %s', step.name, (error as Error).message);
      }
    }
    return first;
  }
}
