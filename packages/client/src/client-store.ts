import {
  type BlockNamespace,
  type BlockStore,
  type CallOptions,
  type Fingerprint,
  FRAME,
  jsonOf,
  type NamespacePolicy,
  type NodeStatus,
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

  async close(): Promise<void> {
    this.#link.close();
    await this.#onClose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
