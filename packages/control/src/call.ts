import { type Clock, type PeerName, RefillError } from '@refill/interface';

/** One request of this member, until it is settled: by its answer, a failure, or its deadline, whichever is first. */
export class Call {
  readonly protocol: string;
  readonly body: Uint8Array;
  readonly promise: Promise<Uint8Array>;
  /** Called once when it is settled, `isLate` when by its deadline. Set by who holds it. */
  onSettled: (isLate: boolean) => void = () => {};
  readonly #dueMs: number;
  readonly #cancelDeadline: () => void;
  readonly #finally: (isLate: boolean) => void;
  #resolve!: (answer: Uint8Array) => void;
  #reject!: (error: RefillError) => void;
  #isSettled = false;

  /** `settled` is called after `onSettled`, whoever holds it by then. */
  constructor(
    clock: Clock,
    request: { to: PeerName; protocol: string; body: Uint8Array; deadlineMs: number },
    settled: (isLate: boolean) => void,
  ) {
    const { to, protocol, body, deadlineMs } = request;
    this.protocol = protocol;
    this.body = body;
    this.#finally = settled;
    this.#dueMs = clock.nowMs() + deadlineMs;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#cancelDeadline = clock.after(deadlineMs, () => {
      const what = `${to} did not answer ${protocol} in ${deadlineMs} ms`;
      this.settle(new RefillError('ERR_DEADLINE', what), true);
    });
  }

  leftMs(clock: Clock): number {
    return this.#dueMs - clock.nowMs();
  }

  /** The first outcome counts. */
  settle(outcome: Uint8Array | RefillError, isLate = false): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#cancelDeadline();
    this.onSettled(isLate);
    this.#finally(isLate);
    if (outcome instanceof RefillError) this.#reject(outcome);
    else this.#resolve(outcome);
  }
}
