import type { PeerId } from '@libp2p/interface';
import { type Chance, type PeerName, RefillError } from '@refill/interface';
import { AskLink } from './ask-link.ts';
import {
  BACKOFF_MS_MAX,
  BACKOFF_MS_MIN,
  BACKOFF_WAIT_MS_MAX,
  CALL_BYTES_PER_PEER_MAX,
  CALLS_PER_PEER_MAX,
} from './bounds.ts';
import { Call } from './call.ts';
import { type ConnectParts, connect } from './connect.ts';
import { closed, unreachable } from './errors.ts';

export interface PeerParts extends ConnectParts {
  readonly chance: Chance;
  readonly onTimeout: () => void;
}

/**
 * A peer that is asked: one link, made when it is needed and again after it broke. Calls wait while it is being made.
 * Attempts that fail back off: in between, calls are refused at once with the last reason.
 */
export class Peer {
  readonly #parts: PeerParts;
  readonly #name: PeerName;
  readonly #id: PeerId;
  readonly #calls = new Set<Call>();
  #callBytes = 0;
  #link: AskLink | undefined;
  #attempt: AbortController | undefined;
  #addresses: readonly string[] = [];
  readonly #waiting = new Set<Call>();
  #backoffMs = 0;
  #retryAtMs = 0;
  #lastFailure: RefillError | undefined;

  constructor(parts: PeerParts, name: PeerName, id: PeerId) {
    this.#parts = parts;
    this.#name = name;
    this.#id = id;
  }

  request(
    addresses: readonly string[],
    protocol: string,
    body: Uint8Array,
    deadlineMs: number,
  ): Promise<Uint8Array> {
    if (
      this.#calls.size >= CALLS_PER_PEER_MAX ||
      (this.#calls.size > 0 && this.#callBytes + body.length > CALL_BYTES_PER_PEER_MAX)
    ) {
      const what = `${this.#calls.size} requests of ${this.#callBytes} bytes to ${this.#name} are not answered yet`;
      return Promise.reject(new RefillError('ERR_LIMIT', what));
    }
    const { clock, onTimeout } = this.#parts;
    const call = new Call(clock, { to: this.#name, protocol, body, deadlineMs }, (isLate) => {
      this.#calls.delete(call);
      this.#waiting.delete(call);
      this.#callBytes -= body.length;
      if (isLate) onTimeout();
    });
    this.#calls.add(call);
    this.#callBytes += body.length;
    if (this.#link !== undefined) {
      this.#link.send(call);
      return call.promise;
    }
    // The newest addresses count, also for an attempt that has not begun.
    this.#addresses = addresses;
    const waitMs = this.#retryAtMs - clock.nowMs();
    if (this.#attempt === undefined && waitMs > BACKOFF_WAIT_MS_MAX) {
      call.settle(this.#lastFailure!);
      return call.promise;
    }
    this.#waiting.add(call);
    if (this.#attempt === undefined) void this.#connect(waitMs);
    return call.promise;
  }

  /** Rejects every call, ends the link and gives up connecting. */
  stop(): void {
    this.#attempt?.abort(closed());
    for (const call of [...this.#calls]) call.settle(closed());
    this.#link?.end(closed());
  }

  async #connect(waitMs: number): Promise<void> {
    const { clock } = this.#parts;
    const attempt = new AbortController();
    this.#attempt = attempt;
    try {
      if (waitMs > 0) await new Promise<void>((resolve) => clock.after(waitMs, resolve));
      const to = { peer: this.#name, id: this.#id, addresses: this.#addresses };
      const { stream, connection } = await connect(this.#parts, to, attempt.signal);
      if (attempt.signal.aborted) {
        connection.abort(closed());
        return;
      }
      this.#attempt = undefined;
      this.#backoffMs = 0;
      const link = new AskLink({ clock, peer: this.#name }, stream, (cause) => {
        if (this.#link === link) this.#link = undefined;
        // The connection may be half-open: the next link must not ride on it.
        connection.abort(cause instanceof Error ? cause : new Error('the control link ended'));
      });
      this.#link = link;
      const waiting = [...this.#waiting];
      this.#waiting.clear();
      for (const call of waiting) link.send(call);
      if (stream.hasEnded) link.end(undefined);
    } catch (error) {
      this.#attempt = undefined;
      this.#backOff(error instanceof RefillError ? error : unreachable(this.#name, error));
    }
  }

  #backOff(failure: RefillError): void {
    const { clock, chance } = this.#parts;
    this.#backoffMs = Math.min(Math.max(BACKOFF_MS_MIN, this.#backoffMs * 2), BACKOFF_MS_MAX);
    // Half of it by chance, so that those who lost one peer do not all come back at one moment.
    this.#retryAtMs = clock.nowMs() + this.#backoffMs * (0.5 + chance.unit() / 2);
    this.#lastFailure = failure;
    const waiting = [...this.#waiting];
    for (const call of waiting) call.settle(failure);
  }
}
