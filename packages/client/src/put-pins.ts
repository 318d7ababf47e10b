import { FRAME, type Key, type PutOutcome } from '@refill/interface';
import type { NodeConnection } from './connection.ts';
import type { Remaining } from './deadline.ts';
import { askKeys, unpinKeys } from './reservations.ts';

/** What the hint `pin` of a put needs of the client: its commit pins new blocks, this does the rest. */
export class PutPins {
  readonly #connection: NodeConnection;
  readonly #namespace: number;
  readonly #blocks: readonly { readonly key: Key }[];

  constructor(connection: NodeConnection, namespace: number, blocks: readonly { readonly key: Key }[]) {
    this.#connection = connection;
    this.#namespace = namespace;
    this.#blocks = blocks;
  }

  /** Pins the blocks that were there before, by a request of their own. That it fails does not fail the put. */
  async pinExisting(outcomes: readonly PutOutcome[], remaining: Remaining): Promise<void> {
    const keys = this.#blocks.filter((_, i) => outcomes[i] === 'exists').map(({ key }) => key);
    if (keys.length === 0 || remaining.isOver || this.#connection.lost !== undefined) return;
    await askKeys(this.#connection, FRAME.pin, this.#namespace, keys, remaining.options()).catch(
      () => undefined,
    );
  }

  /** Ends the pins of those of a put that nobody waits for any more. */
  giveBack(indexes: readonly number[]): void {
    if (indexes.length === 0) return;
    const keys = indexes.map((i) => this.#blocks[i]!.key);
    unpinKeys(this.#connection, this.#namespace, keys);
  }
}
