const living = new Set<Cleanups>();
process.on('exit', () => {
  for (const cleanups of living) cleanups.now();
});

/** What is to be undone after a measurement, newest first: the face of a test's `teardown`. */
export class Cleanups implements AsyncDisposable {
  readonly #steps: (() => unknown)[] = [];

  constructor() {
    living.add(this);
  }

  teardown(step: () => unknown): void {
    this.#steps.push(step);
  }

  /** Begins every step without waiting, for the end of the process. */
  now(): void {
    for (const step of this.#steps.splice(0).reverse()) void step();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    living.delete(this);
    for (const step of this.#steps.splice(0).reverse()) await step();
  }
}
