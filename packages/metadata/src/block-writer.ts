import {
  COMMIT_ROW,
  COMMIT_ROW_WORDS,
  type EngineOp,
  KEY_WORDS,
  type MetadataEngine,
} from '@refill/interface';
import type { BeyondMemory } from './beyond-memory.ts';
import { type BlockIndex, INDEX_ROW } from './block-index.ts';
import type { BlockPuts } from './block-puts.ts';
import type { Catalogue } from './catalogue.ts';
import { hasRoom } from './load-index.ts';
import { BlockRecordWriter } from './record.ts';

/** What changes together: index, engine, counts and the blocks beyond memory. */
export interface BlockState {
  engine: MetadataEngine;
  catalogue: Catalogue;
  index: BlockIndex;
  beyond: BeyondMemory;
  puts: BlockPuts;
  memoryBudgetBytes: number;
}

/**
 * Commits while memory knows every block: it decides and changes before this returns its promise, and the engine
 * follows in the order of the calls without being asked anything.
 */
export async function commitInMemory(
  { engine, catalogue, index, puts }: BlockState,
  rows: Uint32Array,
  count: number,
  accepted: Uint8Array,
  nowSeconds: number,
  durable: boolean,
): Promise<void> {
  const written: Promise<unknown>[] = [];
  for (let i = 0; i < count; i++) {
    const at = i * COMMIT_ROW_WORDS;
    const namespace = rows[at + COMMIT_ROW.namespace]!;
    const entry = index.find(namespace, rows, at + COMMIT_ROW.key);
    accepted[i] = entry < 0 || liesAt(index, entry, rows, at) ? 1 : 0;
    if (entry < 0) {
      index.insert(rows, at, nowSeconds);
      catalogue.count(rows[at + COMMIT_ROW.segment]!, rows[at + COMMIT_ROW.storedBytes]!, 1);
    }
    // A repeated commit is written again: the first one may not have been durable.
    if (entry < 0 || (durable && accepted[i] === 1)) puts.add(rows, at);
    if (puts.full) written.push(engine.write(puts.take(), { durable, independent: true }));
  }
  written.push(engine.write(puts.take(), { durable, independent: true }));
  await Promise.all(written);
}

/** Commits while the engine knows blocks that memory does not: the engine decides, one call at a time. */
export async function commitBeyondMemory(
  { catalogue, index, beyond, memoryBudgetBytes }: BlockState,
  rows: Uint32Array,
  count: number,
  accepted: Uint8Array,
  nowSeconds: number,
  durable: boolean,
): Promise<void> {
  const unknown: number[] = [];
  for (let i = 0; i < count; i++) {
    const at = i * COMMIT_ROW_WORDS;
    const entry = index.find(rows[at + COMMIT_ROW.namespace]!, rows, at + COMMIT_ROW.key);
    if (entry < 0) unknown.push(i);
    else accepted[i] = liesAt(index, entry, rows, at) ? 1 : 0;
  }
  const outcome = await beyond.put(rows, unknown, durable);
  const room = hasRoom(index, unknown.length, memoryBudgetBytes);
  for (const [n, i] of unknown.entries()) {
    accepted[i] = outcome[n] === 0 ? 0 : 1;
    if (outcome[n] !== 1) continue;
    const at = i * COMMIT_ROW_WORDS;
    catalogue.count(rows[at + COMMIT_ROW.segment]!, rows[at + COMMIT_ROW.storedBytes]!, 1);
    if (room) index.insert(rows, at, nowSeconds);
    else beyond.blocks++;
  }
}

/** Removes what memory knows of the keys; returns the positions of the others. Changes memory before it returns. */
export function removeInMemory(
  { engine, catalogue, index }: BlockState,
  namespace: number,
  keys: Uint32Array,
  count: number,
  durable = false,
): { unknown: number[]; removed: number; written: Promise<unknown> } {
  const writer = new BlockRecordWriter(count);
  const ops: EngineOp[] = [];
  const unknown: number[] = [];
  for (let i = 0; i < count; i++) {
    const entry = index.find(namespace, keys, i * KEY_WORDS);
    if (entry < 0) {
      unknown.push(i);
      continue;
    }
    catalogue.count(index.word(entry, INDEX_ROW.segment), index.storedBytes(entry), -1);
    index.remove(entry);
    ops.push({ key: writer.key(namespace, keys, i * KEY_WORDS), value: undefined });
  }
  return { unknown, removed: ops.length, written: engine.write(ops, { durable }) };
}

/** Removes blocks that only the engine knows, those for which `wanted` holds. */
export async function removeBeyondMemory(
  { engine, catalogue, beyond }: BlockState,
  namespace: number,
  keys: Uint32Array,
  which: readonly number[],
  wanted: (row: Uint32Array) => boolean,
  durable = false,
): Promise<number> {
  const found = (await beyond.read(namespace, keys, which)).filter((record) => record && wanted(record.row));
  // The condition tells a key given twice: the second deletion fails.
  const ops = found.map((record) => ({
    key: record!.key,
    value: undefined,
    expect: { equals: record!.value },
  }));
  const results = await engine.write(ops, { durable });
  let removed = 0;
  for (const [i, record] of found.entries()) {
    if (!results[i]) continue;
    catalogue.count(record!.row[COMMIT_ROW.segment]!, record!.row[COMMIT_ROW.storedBytes]!, -1);
    beyond.blocks--;
    removed++;
  }
  return removed;
}

function liesAt(index: BlockIndex, entry: number, rows: Uint32Array, at: number): boolean {
  return (
    index.word(entry, INDEX_ROW.segment) === rows[at + COMMIT_ROW.segment] &&
    index.word(entry, INDEX_ROW.offsetPages) === rows[at + COMMIT_ROW.offsetPages]
  );
}
