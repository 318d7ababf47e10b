import {
  type CallOptions,
  completeFingerprint,
  type Fingerprint,
  FRAME,
  FRAME_HEADER_WORDS,
  fillBytes,
  invariant,
  KEY_BYTES,
  NAMESPACE_ID_BYTES,
  type NamespacePolicy,
  utf8Of,
} from '@refill/interface';
import { type Keys, keyCount, writeKeys } from './arguments.ts';
import type { ReplyReader } from './call.ts';
import type { NodeConnection } from './connection.ts';
import { Remaining } from './deadline.ts';
import type { Link } from './link.ts';

/**
 * A namespace on whatever connection there is: every call first needs it open there, which costs nothing while the
 * connection lasts and one exchange after it was replaced.
 */
export class OpenNamespace {
  readonly fingerprint: Required<Fingerprint>;
  readonly link: Link;
  readonly #policy: Partial<NamespacePolicy>;
  /** The connection on which it is open, and its index there. */
  #connection: NodeConnection | undefined;
  #index = 0;

  constructor(link: Link, fingerprint: Fingerprint, policy: Partial<NamespacePolicy>) {
    this.fingerprint = completeFingerprint(fingerprint);
    this.#policy = policy;
    this.link = link;
  }

  /** Index of the namespace on the connection that `use` answered last. */
  get index(): number {
    return this.#index;
  }

  /** Opens it on the current connection. Rejects with `ERR_FINGERPRINT_MISMATCH`. */
  async open(options: CallOptions | undefined): Promise<NodeConnection> {
    const remaining = new Remaining(this.link.parts.clock, options);
    const connection = await this.link.ready(options);
    if (connection === this.#connection) return connection;
    const text = utf8Of({ fingerprint: this.fingerprint, policy: this.#policy });
    const at = connection.writer.begin(text.length);
    fillBytes(connection.writer.words, at, text);
    this.#index = await connection.ask(at, FRAME.namespace, 0, 0, text.length, 0, remaining.options(), {
      read: (frame) => {
        invariant(frame.bodyBytes >= NAMESPACE_ID_BYTES, 'a namespace has an id');
        return frame.namespace;
      },
    });
    this.#connection = connection;
    return connection;
  }

  /** A call whose request is a list of keys. While connected it costs one promise and one request entry. */
  ask<T>(
    type: number,
    keys: Keys,
    options: CallOptions | undefined,
    readerOf: (connection: NodeConnection, count: number) => ReplyReader<T>,
    argument = 0,
  ): Promise<T> {
    const connection = this.link.current;
    if (connection === undefined || connection !== this.#connection) {
      return this.#openThenAsk(type, keys, options, readerOf, argument);
    }
    try {
      const count = keyCount(keys);
      const at = connection.writer.begin(count * KEY_BYTES);
      writeKeys(connection.writer.words, at + FRAME_HEADER_WORDS, keys, count);
      return connection.ask(at, type, 0, this.#index, count, argument, options, readerOf(connection, count));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async #openThenAsk<T>(
    type: number,
    keys: Keys,
    options: CallOptions | undefined,
    readerOf: (connection: NodeConnection, count: number) => ReplyReader<T>,
    argument: number,
  ): Promise<T> {
    keyCount(keys);
    const remaining = new Remaining(this.link.parts.clock, options);
    await this.open(options);
    return this.ask(type, keys, remaining.options(), readerOf, argument);
  }

  /** The connection on which the namespace is open. */
  use(options: CallOptions | undefined): Promise<NodeConnection> | NodeConnection {
    const connection = this.link.current;
    return connection !== undefined && connection === this.#connection ? connection : this.open(options);
  }
}
