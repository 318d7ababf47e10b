import { readFileSync } from 'node:fs';
import { freemem } from 'node:os';
import { HUGE_PAGE_BYTES } from '@refill/interface';

export const ARENA_BYTES_DEFAULT_MIN: number = 256 * 1024 ** 2;
export const ARENA_BYTES_DEFAULT_MAX: number = 16 * 1024 ** 3;

/** Memory that could be had without swapping, bytes: `MemAvailable`, which `os.freemem` leaves the page cache out of. */
export function memoryAvailable(): number {
  try {
    const match = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'));
    if (match !== null) return Number(match[1]) * 1024;
  } catch {
    // No /proc here: the estimate below is smaller, never too large.
  }
  return freemem();
}

/** A quarter of what is available, in whole huge pages, between the two bounds: engines on this server need the rest. */
export function defaultArenaBytes(availableBytes: number): number {
  const quarter = Math.floor(availableBytes / 4 / HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES;
  return Math.min(ARENA_BYTES_DEFAULT_MAX, Math.max(ARENA_BYTES_DEFAULT_MIN, quarter));
}
