import { constants } from 'node:os';
import {
  type BlockIO,
  type BufferId,
  REGIONS_PER_CLIENT_MAX,
  RefillError,
  type RegionId,
} from '@refill/interface';

const { EACCES, EBADF, EINVAL, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, ENXIO, EPERM, ERANGE } =
  constants.errno;
/** What a client's path, descriptor or size is to blame for; anything else is the node's. */
const CLIENTS = new Set([
  EACCES,
  EBADF,
  EINVAL,
  EISDIR,
  ELOOP,
  ENAMETOOLONG,
  ENOENT,
  ENOTDIR,
  ENXIO,
  EPERM,
  ERANGE,
]);

/** Memory of a client that I/O goes to and comes from directly. */
export interface Region {
  readonly id: RegionId;
  readonly session: number;
  readonly buffer: BufferId;
  readonly sizeBytes: number;
  /** Calls that use it. */
  calls: number;
  /** Operations reported late, less those that the kernel let go of since: what it still holds. */
  held: number;
  isClosing: boolean;
  /** Called once nothing uses it any more. */
  idle: (() => void)[];
}

/** Regions of all sessions. A region is detached once no call and no late I/O uses it. */
export class Regions {
  readonly #io: BlockIO;
  readonly #regions = new Map<RegionId, Region>();
  readonly #byBuffer = new Map<BufferId, Region>();
  readonly #attaching = new Map<number, number>();
  #nextId = 1;

  constructor(io: BlockIO) {
    this.#io = io;
  }

  /** Regions attached. */
  get size(): number {
    return this.#regions.size;
  }

  async attach(
    session: number,
    source: { path: string } | { fd: number },
    sizeBytes: number,
    isClosed: () => boolean,
  ): Promise<RegionId> {
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 1) {
      throw new RefillError(
        'ERR_INVALID_ARGUMENT',
        `sizeBytes must be a whole number from 1, got ${sizeBytes}`,
      );
    }
    const held = this.#of(session).length + (this.#attaching.get(session) ?? 0);
    if (held >= REGIONS_PER_CLIENT_MAX) {
      throw new RefillError('ERR_LIMIT', `a session may register ${REGIONS_PER_CLIENT_MAX} regions`, {
        fix: 'Unregister one first',
      });
    }
    this.#attaching.set(session, (this.#attaching.get(session) ?? 0) + 1);
    let buffer: BufferId;
    try {
      buffer = await this.#io.attachRegion(source, sizeBytes);
    } catch (error) {
      throw refused(source, sizeBytes, error);
    } finally {
      const left = this.#attaching.get(session)! - 1;
      if (left > 0) this.#attaching.set(session, left);
      else this.#attaching.delete(session);
    }
    if (isClosed()) {
      this.#io.detachRegion(buffer);
      throw new RefillError('ERR_NODE_CLOSED', 'the session was closed while the call waited');
    }
    const region: Region = {
      id: this.#nextId++,
      session,
      buffer,
      sizeBytes,
      calls: 0,
      held: 0,
      isClosing: false,
      idle: [],
    };
    this.#regions.set(region.id, region);
    this.#byBuffer.set(buffer, region);
    return region.id;
  }

  /** The region, if it is this session's and not about to go. */
  get(session: number, id: RegionId): Region {
    const region = this.#regions.get(id);
    if (region === undefined || region.session !== session || region.isClosing) {
      throw new RefillError('ERR_HANDLE_UNKNOWN', `region ${id} is not registered in this session`);
    }
    return region;
  }

  begin(region: Region): void {
    region.calls++;
  }

  end(region: Region): void {
    region.calls--;
    this.#settle(region);
  }

  /** `count` operations on it came not back in time. Their releases may have come before. */
  hold(region: Region, count: number): void {
    region.held += count;
  }

  /** The kernel let go of a late operation's memory in this buffer. */
  release(buffer: BufferId): void {
    const region = this.#byBuffer.get(buffer);
    if (region === undefined) return;
    region.held--;
    this.#settle(region);
  }

  /** Settles when the region is detached. */
  detach(region: Region): Promise<void> {
    region.isClosing = true;
    return new Promise((resolve) => {
      region.idle.push(() => {
        this.#regions.delete(region.id);
        this.#byBuffer.delete(region.buffer);
        this.#io.detachRegion(region.buffer);
        resolve();
      });
      this.#settle(region);
    });
  }

  /** Detaches all regions of a session, each when it can be. */
  detachAll(session: number): void {
    for (const region of this.#of(session)) if (!region.isClosing) void this.detach(region);
  }

  /** Calls back once no I/O uses the region: at once if that is so. */
  whenIdle(region: Region, callback: () => void): void {
    region.idle.push(callback);
    this.#settle(region);
  }

  #of(session: number): Region[] {
    return [...this.#regions.values()].filter((region) => region.session === session);
  }

  #settle(region: Region): void {
    if (region.calls > 0 || region.held > 0) return;
    // Releases of what nobody was told was late, such as a store that failed: they are not owed to later calls.
    region.held = 0;
    const callbacks = region.idle;
    region.idle = [];
    for (const callback of callbacks) callback();
  }
}

/** An error of what the client gave by its name, any other as it is. */
function refused(source: { path: string } | { fd: number }, sizeBytes: number, error: unknown): unknown {
  if (!(error instanceof RefillError) || error.errno === undefined || !CLIENTS.has(error.errno)) return error;
  const what = 'path' in source ? `source.path ${source.path}` : 'source.fd, the descriptor that was passed,';
  return new RefillError(
    'ERR_INVALID_ARGUMENT',
    `${what} cannot be mapped as a region of ${sizeBytes} bytes: ${error.message}`,
    {
      cause: error,
      errno: error.errno,
      fix: 'Give a shared-memory file of at least that size which the node may read and write, not a link to one',
    },
  );
}
