import { COMMIT_ROW, COMMIT_ROW_WORDS } from '@refill/interface';
import { ENTRY, ENTRY_WORDS } from './segment-format.ts';

/** Fills commit row `row` from block `block` of batch entries. */
export function commitRow(
  rows: Uint32Array,
  row: number,
  entries: Uint32Array,
  block: number,
  namespace: number,
  segment: number,
): void {
  const to = row * COMMIT_ROW_WORDS;
  const from = block * ENTRY_WORDS;
  for (let word = 0; word < 16; word++) rows[to + word] = entries[from + word]!;
  rows[to + COMMIT_ROW.namespace] = namespace;
  rows[to + COMMIT_ROW.segment] = segment;
  rows[to + COMMIT_ROW.offsetPages] = entries[from + ENTRY.offsetPages]!;
  rows[to + COMMIT_ROW.lengthBytes] = entries[from + ENTRY.lengthBytes]!;
  rows[to + COMMIT_ROW.storedBytes] = entries[from + ENTRY.storedBytes]!;
  rows[to + COMMIT_ROW.checksumLo] = entries[from + ENTRY.checksumLo]!;
  rows[to + COMMIT_ROW.checksumHi] = entries[from + ENTRY.checksumHi]!;
  rows[to + COMMIT_ROW.tokens] = entries[from + ENTRY.tokens]!;
  rows[to + COMMIT_ROW.family] = entries[from + ENTRY.family]!;
  rows[to + COMMIT_ROW.shard] = entries[from + ENTRY.shard]!;
  rows[to + COMMIT_ROW.flags] = entries[from + ENTRY.flags]!;
}
