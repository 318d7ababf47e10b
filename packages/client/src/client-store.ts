import {
  type BlockNamespace,
  type BlockStore,
  type CallOptions,
  type DrainStatus,
  type Fingerprint,
  FRAME,
  FRAME_FLAG,
  FRAME_HEADER_WORDS,
  HOT_BYTES_DEFAULT,
  HOT_BYTES_MAX,
  jsonOf,
  type NamespacePolicy,
  type NodeStatus,
  putU64,
  RefillError,
  type Region,
} from '@refill/interface';
import { Remaining } from './deadline.ts';
import type { Link } from './link.ts';
import { ClientNamespace } from './namespace.ts';
import { OpenNamespace } from './open-namespace.ts';
import { registerRegion } from './region.ts';

/** The store behind one link. */
export class ClientStore implements BlockStore {
  readonly #link: Link;
  readonly #onClose: () => Promise<void>;

  /** `onClose` runs after the connection is closed: an embedded node is stopped there. */
  constructor(link: Link, onClose: () => Promise<void> = async () => undefined) {
    this.#link = link;
    this.#onClose = onClose;
  }

  async namespace(
    fingerprint: Fingerprint,
    options: CallOptions & { policy?: Partial<NamespacePolicy> } = {},
  ): Promise<BlockNamespace> {
    const namespace = new OpenNamespace(this.#link, fingerprint, options.policy ?? {});
    await namespace.open(options);
    return new ClientNamespace(namespace);
  }

  async flush(options?: CallOptions): Promise<void> {
    const remaining = new Remaining(this.#link.parts.clock, options);
    const connection = await this.#link.ready(options);
    const at = connection.writer.begin(0);
    const failed = await connection.ask(at, FRAME.flush, 0, 0, 0, 0, remaining.options(), {
      read: (frame) => frame.count,
    });
    if (failed > 0) {
      throw new RefillError('ERR_STORAGE_FAILED', `${failed} blocks did not reach the shared file system`);
    }
  }

  async registerRegion(
    source: { path: string } | { fd: number },
    sizeBytes: number,
    options?: CallOptions,
  ): Promise<Region> {
    const remaining = new Remaining(this.#link.parts.clock, options);
    const connection = await this.#link.ready(options);
    return registerRegion(connection, this.#link.parts, source, sizeBytes, remaining.options());
  }

  async status(options?: CallOptions): Promise<NodeStatus> {
    const remaining = new Remaining(this.#link.parts.clock, options);
    const connection = await this.#link.ready(options);
    const at = connection.writer.begin(0);
    return connection.ask(at, FRAME.status, 0, 0, 0, 0, remaining.options(), {
      read: (frame) => jsonOf(frame, 0, frame.count) as NodeStatus,
    });
  }

  async drain(options: CallOptions & { hotBytes?: number; stay?: boolean } = {}): Promise<DrainStatus> {
    const { hotBytes = HOT_BYTES_DEFAULT, stay = false } = options;
    if (!Number.isInteger(hotBytes) || hotBytes < 0 || hotBytes > HOT_BYTES_MAX) {
      throw new RangeError(
        `hotBytes must be a whole number from 0 to ${HOT_BYTES_MAX}, got ${String(hotBytes)}`,
      );
    }
    const remaining = new Remaining(this.#link.parts.clock, options);
    const connection = await this.#link.ready(options);
    const at = connection.writer.begin(8);
    putU64(connection.writer.words, at + FRAME_HEADER_WORDS, hotBytes);
    const flags = stay ? FRAME_FLAG.stay : 0;
    return connection.ask(at, FRAME.drain, flags, 0, 0, 0, remaining.options(), {
      read: (frame) => jsonOf(frame, 0, frame.count) as DrainStatus,
    });
  }

  async close(): Promise<void> {
    this.#link.close();
    await this.#onClose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
