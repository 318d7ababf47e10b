import type { PageMemory, SharedBuffer } from '@refill/interface';
import { createSharedMemory } from './shared-memory.ts';

/** Asked from the system at a time. Making it takes its time (`createSharedMemory`), and nothing else runs meanwhile. */
const CHUNK_BYTES = 16 * 1024 * 1024;
const WORD_BYTES = 4;

/**
 * Page memory in chunks of huge pages. What is given back serves later requests of the same size; chunks stay until
 * the process ends. Throws what `create` throws when the machine has no memory left.
 */
export function hugeMemory(create: (sizeBytes: number) => SharedBuffer = createSharedMemory): PageMemory {
  const returned = new Map<number, Uint32Array[]>();
  let chunk: Uint8Array = new Uint8Array(0);
  let taken = 0;
  return {
    take: (words) => {
      const again = returned.get(words)?.pop();
      if (again !== undefined) return again.fill(0);
      const bytes = words * WORD_BYTES;
      if (bytes > chunk.length - taken) {
        [chunk, taken] = [create(Math.max(CHUNK_BYTES, bytes)).panes[0]!, 0];
      }
      const page = new Uint32Array(chunk.buffer, chunk.byteOffset + taken, words);
      taken += bytes;
      return page;
    },
    give: (words) => {
      const pages = returned.get(words.length);
      if (pages === undefined) returned.set(words.length, [words]);
      else pages.push(words);
    },
  };
}
