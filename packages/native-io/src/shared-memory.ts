import type { MappedArena, SharedBuffer, SharedMemory } from '@refill/interface';
import { RefillError } from '@refill/interface';
import { errnoName } from './errors.ts';
import { runJob } from './jobs.ts';
import { native } from './native.ts';
import { Panes } from './panes.ts';

const TOKEN_BYTES = 16;
const BEST_LEVEL = -1;

/** CRC-64/NVME of the bytes, without an identity. */
export function crc64(bytes: Uint8Array): bigint {
  return native.checksum(bytes, BEST_LEVEL)!;
}

export async function mapArena(fdSocketPath: string, options: { deadlineMs: number }): Promise<MappedArena> {
  const { deadlineMs } = options;
  const mapped = await runJob<number[]>(
    `mapping the arena of ${fdSocketPath}`,
    () => native.mapArena(fdSocketPath, deadlineMs),
    options,
  );
  const [readable, writable, sizeBytes] = mapped as [number, number, number];
  const reading = new Panes(readable);
  const writing = new Panes(writable);
  return {
    sizeBytes,
    readPanes: reading.views,
    writePanes: writing.views,
    unmap: () => {
      reading.free();
      writing.free();
    },
  };
}

export async function passFd(
  fdSocketPath: string,
  fd: number,
  token: Uint8Array,
  options: { deadlineMs: number },
): Promise<void> {
  if (token.length !== TOKEN_BYTES) {
    throw new TypeError(`token must be ${TOKEN_BYTES} bytes, got ${token.length}`);
  }
  const start = () => native.passFd(fdSocketPath, fd, token, options.deadlineMs);
  await runJob(`passing a descriptor to ${fdSocketPath}`, start, options);
}

/**
 * New shared memory, rounded up to 2 MiB and touched, so that the call takes its time: up to 3 s a GiB on a fresh
 * virtual machine. Fails with `ERR_PLATFORM` when the machine has no memory left.
 */
export function createSharedMemory(sizeBytes: number): SharedBuffer {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0) {
    throw new RangeError(`sizeBytes must be a positive integer, got ${sizeBytes}`);
  }
  const made = native.createShared(sizeBytes);
  if (made.length === 1) {
    const errno = -made[0]!;
    throw new RefillError(
      'ERR_PLATFORM',
      `making ${sizeBytes} bytes of shared memory failed: ${errnoName(errno)}`,
      {
        errno,
      },
    );
  }
  const [buffer, pageBytes, , roundedBytes, fd] = made as [number, number, number, number, number];
  const panes = new Panes(buffer);
  return { fd, sizeBytes: roundedBytes, panes: panes.views, pageBytes, free: () => panes.free() };
}

/** The whole set, as a client takes it. */
export const sharedMemory: SharedMemory = { mapArena, passFd, create: createSharedMemory };
