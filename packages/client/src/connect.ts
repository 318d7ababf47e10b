import type { BlockStore, CallOptions } from '@refill/interface';
import { ClientStore } from './client-store.ts';
import { Link } from './link.ts';
import { type ClientParts, startNode, systemParts } from './parts.ts';

export interface ConnectOptions extends CallOptions {
  /** The node's Unix socket. */
  socketPath: string;
}

export interface OpenOptions {
  /** Directory on the shared file system. */
  root: string;
  /** Anything else that `refill serve` takes, by the names of its configuration. */
  [option: string]: unknown;
}

/** Makes `connect` of parts: for tests, and for programs with a clock or shared memory of their own. */
export function createConnect(parts: ClientParts): (options: ConnectOptions) => Promise<BlockStore> {
  return async (options) => {
    const link = new Link(socketPathOf(options), parts);
    try {
      await link.ready(options);
    } catch (error) {
      link.close();
      throw error;
    }
    return new ClientStore(link);
  };
}

/**
 * Connects to a node of this machine and maps its arena. Rejects with `ERR_NODE_CLOSED` when no node listens,
 * `ERR_VERSION` when it speaks another protocol, `ERR_DEADLINE` (default 5 s), `ERR_PLATFORM` without the addon.
 * A connection that is lost later fails the calls under way and is replaced by the next call.
 *
 * @example
 * ```ts
 * import { connect, keyOf } from '@refill/client';
 *
 * await using store = await connect({ socketPath: '/run/refill/node.sock' });
 * const kv = await store.namespace({
 *   name: 'demo', model: 'llama-3.1-8b', dtype: 'bfloat16', layout: 'kv-first', tokensPerBlock: 16,
 * });
 * await kv.put({ key: keyOf('block 0') }, new Uint8Array(65_536).fill(7));
 * using block = await kv.get(keyOf('block 0'));
 * console.log(block?.bytes[0]); // 7
 * ```
 */
export async function connect(options: ConnectOptions): Promise<BlockStore> {
  return createConnect(await systemParts())(options);
}

/**
 * Starts a node in this process, on a directory of the shared file system, and connects to it. The same API as
 * `connect`; closing the store stops the node.
 */
export async function open(options: OpenOptions): Promise<BlockStore> {
  if (typeof options?.root !== 'string') {
    throw new TypeError(`root must be a directory, got ${String(options?.root)}`);
  }
  const parts = await systemParts();
  const node = await startNode(options);
  const link = new Link(node.socketPath, parts);
  try {
    await link.ready(undefined);
  } catch (error) {
    link.close();
    await node.stop();
    throw error;
  }
  return new ClientStore(link, () => node.stop());
}

function socketPathOf(options: ConnectOptions): string {
  const socketPath = options?.socketPath;
  if (typeof socketPath === 'string' && socketPath.length > 0) return socketPath;
  throw new TypeError(`socketPath must be the path of a node's socket, got ${String(socketPath)}`);
}
