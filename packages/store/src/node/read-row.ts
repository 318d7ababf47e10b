import { READ_ROW, READ_ROW_WORDS, ROW_STATUS, SLOT_UNIT_BYTES } from '@refill/interface';
import type { DramTier } from '../arena/dram-tier.ts';

/** Writes the row of a block that is readable and pinned for the caller. */
export function fillHit(tier: DramTier, id: number, rows: Uint32Array, index: number): void {
  const { columns, arena } = tier;
  const { unitsPerPane } = arena.allocator;
  const at = index * READ_ROW_WORDS;
  const unit = columns.unit[id]!;
  const pane = Math.floor(unit / unitsPerPane);
  rows[at + READ_ROW.status] = ROW_STATUS.hit;
  rows[at + READ_ROW.slot] = id;
  rows[at + READ_ROW.pane] = pane;
  rows[at + READ_ROW.offsetBytes] = (unit - pane * unitsPerPane) * SLOT_UNIT_BYTES;
  rows[at + READ_ROW.lengthBytes] = columns.lengthBytes[id]!;
  rows[at + READ_ROW.tokens] = columns.tokens[id]!;
}
