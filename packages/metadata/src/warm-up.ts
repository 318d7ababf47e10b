import { COMMIT_ROW, COMMIT_ROW_WORDS, KEY_WORDS } from '@refill/interface';
import { BlockIndex } from './block-index.ts';

const BLOCKS = 1024;
/** Passes until the engine has compiled and inlined the whole search: measured, some 60,000 lookups. */
const PASSES = 96;

let isWarm = false;

/**
 * Has lookups compiled before the first prompt asks: interpreted, 14,000 keys take 20 ms instead of 3, and some calls
 * more until all is inlined. Searches a small index of its own, once a process; takes about 30 ms.
 */
export function warmUp(): void {
  if (isWarm) return;
  isWarm = true;
  const index = new BlockIndex({ seed: 1 });
  const row = new Uint32Array(COMMIT_ROW_WORDS);
  const keys = new Uint32Array(BLOCKS * KEY_WORDS);
  row[COMMIT_ROW.lengthBytes] = 1;
  for (let i = 0; i < BLOCKS; i++) {
    const number = i + 1;
    row[COMMIT_ROW.key] = number;
    keys[i * KEY_WORDS] = number;
    // Some keys are not there, as in a prompt's tail.
    if (i % 8 !== 7) index.insert(row, 0, 0);
  }
  const entries = new Int32Array(BLOCKS);
  for (let pass = 0; pass < PASSES; pass++) index.findMany(0, keys, BLOCKS, entries);
}
