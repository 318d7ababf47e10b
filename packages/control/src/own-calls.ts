import type { Clock, ControlCounters, ControlHandler, PeerName } from '@refill/interface';
import { Call } from './call.ts';
import { closed, errorOf } from './errors.ts';
import { FRAME_KIND } from './frame.ts';
import { runHandler } from './run-handler.ts';

/** What a member asks itself, as a node does whose own metadata service serves the cluster: no wire, the same rules. */
export class OwnCalls {
  readonly #self: PeerName;
  readonly #handlers: ReadonlyMap<string, ControlHandler>;
  readonly #clock: Clock;
  readonly #counters: ControlCounters;
  readonly #calls = new Set<Call>();

  constructor(
    self: PeerName,
    handlers: ReadonlyMap<string, ControlHandler>,
    clock: Clock,
    counters: ControlCounters,
  ) {
    this.#self = self;
    this.#handlers = handlers;
    this.#clock = clock;
    this.#counters = counters;
  }

  request(protocol: string, body: Uint8Array, deadlineMs: number): Promise<Uint8Array> {
    const call = new Call(this.#clock, { to: this.#self, protocol, body, deadlineMs }, (isLate) => {
      this.#calls.delete(call);
      if (isLate) this.#counters.timeouts++;
    });
    this.#calls.add(call);
    // Copies both ways, as a wire makes them: neither side may keep the other's bytes.
    void runHandler(this.#handlers, this.#self, { id: 0, name: protocol, body: body.slice() }).then(
      (reply) => {
        this.#counters.answers++;
        call.settle(reply.kind === FRAME_KIND.answer ? reply.body.slice() : errorOf(reply));
      },
    );
    return call.promise;
  }

  stop(): void {
    for (const call of [...this.#calls]) call.settle(closed());
  }
}
