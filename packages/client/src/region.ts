import { resolve } from 'node:path';
import {
  type CallOptions,
  FD_TOKEN_BYTES,
  FRAME,
  FRAME_FLAG,
  FRAME_HEADER_WORDS,
  type Frame,
  fillBytes,
  putU64,
  RefillError,
  type Region,
  utf8Of,
} from '@refill/interface';
import type { NodeConnection } from './connection.ts';
import { Remaining } from './deadline.ts';
import { unlessNodeGone } from './node-gone.ts';
import type { ClientParts } from './parts.ts';

/** A region belongs to the connection that registered it and ends with it; register it again after a loss. */
export class ClientRegion implements Region {
  readonly sizeBytes: number;
  readonly id: number;
  readonly #connection: NodeConnection;
  #isRegistered = true;

  constructor(connection: NodeConnection, id: number, sizeBytes: number) {
    this.#connection = connection;
    this.id = id;
    this.sizeBytes = sizeBytes;
  }

  /** The region's number on this connection. Throws `ERR_HANDLE_UNKNOWN` when it is not registered there. */
  idOn(connection: NodeConnection): number {
    if (this.#isRegistered && this.#connection === connection) return this.id;
    throw new RefillError('ERR_HANDLE_UNKNOWN', 'this region is not registered on the connection', {
      fix: 'Register it again: regions end with unregister() and with their connection',
    });
  }

  /** Settles when no I/O uses the memory any more. Nothing to do after the connection is lost. */
  async unregister(): Promise<void> {
    if (!this.#isRegistered) return;
    this.#isRegistered = false;
    if (this.#connection.lost !== undefined) return;
    const at = this.#connection.writer.begin(0);
    await this.#connection.ask(at, FRAME.unregisterRegion, 0, 0, 0, this.id, undefined, {
      read: () => undefined,
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.unregister();
  }
}

/**
 * Registers a shared-memory file by its path, or by a descriptor that is passed to the node first. A relative path is
 * one of this process: the node's working directory is another.
 */
export async function registerRegion(
  connection: NodeConnection,
  parts: ClientParts,
  source: { path: string } | { fd: number },
  sizeBytes: number,
  options: CallOptions | undefined,
): Promise<Region> {
  checkSource(source, sizeBytes);
  const remaining = new Remaining(parts.clock, options);
  let name: Uint8Array;
  if ('path' in source) name = utf8Of(resolve(source.path));
  else {
    name = parts.chance.bytes(new Uint8Array(FD_TOKEN_BYTES));
    const { deadlineMs } = remaining.options();
    await unlessNodeGone(
      parts.sharedMemory.passFd(connection.welcome.fdSocketPath, source.fd, name, {
        deadlineMs: deadlineMs ?? remaining.deadlineMs,
      }),
    );
  }
  const flags = 'path' in source ? 0 : FRAME_FLAG.token;
  const { writer } = connection;
  const at = writer.begin(8 + name.length);
  putU64(writer.words, at + FRAME_HEADER_WORDS, sizeBytes);
  fillBytes(writer.words, at, name, 8);
  return connection.ask<Region>(at, FRAME.registerRegion, flags, 0, name.length, 0, remaining.options(), {
    read: (frame) => new ClientRegion(connection, frame.argument, sizeBytes),
    discard: (frame: Frame) => {
      new ClientRegion(connection, frame.argument, sizeBytes).unregister().catch(() => undefined);
    },
  });
}

function checkSource(source: { path: string } | { fd: number }, sizeBytes: number): void {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 1) {
    throw new RangeError(`sizeBytes must be a whole number from 1, got ${String(sizeBytes)}`);
  }
  if (typeof source !== 'object' || source === null) {
    throw new TypeError(`source must be { path } or { fd }, got ${String(source)}`);
  }
  if ('path' in source) {
    if (typeof source.path === 'string' && source.path.length > 0 && source.path.length <= 4096) return;
    throw new TypeError(`source.path must be the path of a shared-memory file, got ${String(source.path)}`);
  }
  if (Number.isInteger(source.fd) && source.fd >= 0) return;
  throw new TypeError(`source.fd must be an open file descriptor, got ${String(source.fd)}`);
}
