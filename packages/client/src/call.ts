import type { Frame, RefillError } from '@refill/interface';

/** How the reply to one kind of request is read. */
export interface ReplyReader<T> {
  /** Makes the result of a reply. The frame is valid only during the call. */
  read(frame: Frame): T;
  /** Gives back what a reply brought that nobody waits for any more. */
  discard?(frame: Frame): void;
  /** The result when no reply came in time; without it the call rejects with `ERR_DEADLINE`. */
  late?(): T;
}

/** A request on its way: one object a call, however many keys it has. */
export class Call {
  readonly type: number;
  readonly deadlineMs: number;
  readonly expiresMs: number;
  readonly reader: ReplyReader<unknown>;
  /** Nobody waits any more; the entry stays until the reply, which is discarded. */
  abandoned = false;
  stopListening: (() => void) | undefined;
  readonly #resolve: (value: unknown) => void;
  readonly #reject: (error: Error) => void;

  constructor(
    type: number,
    deadlineMs: number,
    expiresMs: number,
    reader: ReplyReader<unknown>,
    resolve: (value: unknown) => void,
    reject: (error: Error) => void,
  ) {
    this.type = type;
    this.deadlineMs = deadlineMs;
    this.expiresMs = expiresMs;
    this.reader = reader;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  answer(frame: Frame): void {
    if (this.abandoned) {
      this.reader.discard?.(frame);
      return;
    }
    this.stopListening?.();
    try {
      this.#resolve(this.reader.read(frame));
    } catch (error) {
      this.#reject(error as Error);
    }
  }

  fail(error: Error): void {
    if (this.abandoned) return;
    this.abandoned = true;
    this.stopListening?.();
    this.#reject(error);
  }

  expire(error: RefillError): void {
    if (this.abandoned || this.reader.late === undefined) {
      this.fail(error);
      return;
    }
    this.abandoned = true;
    this.stopListening?.();
    this.#resolve(this.reader.late());
  }
}
