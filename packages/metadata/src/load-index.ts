import {
  COMMIT_ROW,
  COMMIT_ROW_WORDS,
  ENTRY_NONE,
  KEY_WORDS,
  type MetadataEngine,
  type PageMemory,
  type SmallFiles,
} from '@refill/interface';
import { BlockIndex, hasParent, INDEX_ROW, INDEX_ROW_WORDS } from './block-index.ts';
import type { Catalogue } from './catalogue.ts';
import { findManifest, type Manifest, readPart } from './checkpoint.ts';
import { CHECKPOINT_KEY, decodeBlock, decodeSmall, encodeSmall, SPACE, spaceRange } from './record.ts';
import { warmUp } from './warm-up.ts';

/** Bytes reserved for one more entry when asking whether the budget has room; pages come whole. */
const ENTRY_BYTES = 96;
const PAGE_BYTES_RESERVED = 2 * 1024 * 1024;

export interface Loading {
  engine: MetadataEngine;
  files: SmallFiles;
  catalogue: Catalogue;
  seed: number;
  memory: PageMemory | undefined;
  memoryBudgetBytes: number;
  /** Counts and logs something damaged that is passed over. */
  damaged(what: string): void;
}

export interface Loaded {
  index: BlockIndex;
  /** Blocks that found no room in memory. */
  beyond: number;
}

/** Whether `count` more blocks fit the budget. */
export function hasRoom(index: BlockIndex, count: number, memoryBudgetBytes: number): boolean {
  return index.bytes + count * ENTRY_BYTES + PAGE_BYTES_RESERVED <= memoryBudgetBytes;
}

/**
 * Notes in the engine that this checkpoint is its whole block index. Durable on return, and never without the records of
 * those blocks: once the mark is taken back they alone are the index.
 */
export async function markCheckpoint(engine: MetadataEngine, manifest: Manifest): Promise<void> {
  const ops = [{ key: CHECKPOINT_KEY, value: encodeSmall(manifest) }];
  await engine.write(ops, { durable: true, barrier: true });
}

/**
 * Builds the index: from the checkpoint if the engine says that it is the whole index (after a clean stop), else by
 * reading all records of the engine, with recency from the checkpoint. The mark is taken back before anything can
 * change, so a crash at any point is followed by a full reading.
 */
export async function loadIndex(loading: Loading): Promise<Loaded> {
  warmUp();
  const { engine, files } = loading;
  const [mark] = await engine.getMany([CHECKPOINT_KEY]);
  if (mark !== undefined) await engine.write([{ key: CHECKPOINT_KEY, value: undefined }], { durable: true });
  const { manifest, damaged } = await findManifest(files);
  for (let i = 0; i < damaged; i++) loading.damaged('a checkpoint manifest');
  if (manifest !== undefined && mark !== undefined) {
    const marked = decodeSmall<Manifest>(mark, 'the mark of a checkpoint');
    if (JSON.stringify(marked.parts) === JSON.stringify(manifest.parts)) {
      const index = await restore(loading, manifest);
      if (index !== undefined) return { index, beyond: 0 };
    }
  }
  const loaded = await readEngine(loading);
  if (manifest !== undefined) await readRecency(loading, manifest, loaded.index);
  return loaded;
}

async function restore(loading: Loading, manifest: Manifest): Promise<BlockIndex | undefined> {
  const { files, catalogue, seed, memory, memoryBudgetBytes } = loading;
  const index = new BlockIndex({ seed, memory });
  const entries = manifest.parts.reduce((sum, part) => sum + part.entries, 0);
  if (!hasRoom(index, entries, memoryBudgetBytes)) return undefined;
  for (let part = 0; part < manifest.parts.length; part++) {
    const content = await readPart(files, manifest, part);
    if (content === undefined) {
      loading.damaged(`part ${part} of checkpoint ${manifest.generation}`);
      index.free();
      return undefined;
    }
    for (let i = 0; i < content.count; i++) {
      index.restore(content.namespaces[i]!, content.keys, i * KEY_WORDS, content.rows, i * INDEX_ROW_WORDS);
    }
  }
  index.endRestore();
  for (let entry = 0; entry < index.entryEnd; entry++) {
    if (index.word(entry, INDEX_ROW.lengthBytes) === 0) continue;
    catalogue.count(index.word(entry, INDEX_ROW.segment), index.storedBytes(entry), 1);
  }
  return index;
}

/** Records whose segment is gone or dead are left-overs of a lost deletion: they are deleted now. */
async function readEngine(loading: Loading): Promise<Loaded> {
  const { engine, catalogue, seed, memory, memoryBudgetBytes, damaged } = loading;
  const index = new BlockIndex({ seed, memory });
  const orphans = new Orphans();
  const row = new Uint32Array(COMMIT_ROW_WORDS);
  let beyond = 0;
  for await (const chunk of engine.scan(spaceRange(SPACE.block))) {
    const stale: Uint8Array[] = [];
    const room = hasRoom(index, chunk.length, memoryBudgetBytes);
    for (const [key, value] of chunk) {
      const whole = decodeBlock(key, value, row, 0);
      if (!whole) damaged('a block record');
      const segment = catalogue.segments.get(row[COMMIT_ROW.segment]!);
      if (!whole || segment === undefined || segment.state === 'dead') {
        stale.push(key);
        continue;
      }
      catalogue.count(segment.index, row[COMMIT_ROW.storedBytes]!, 1);
      if (!room) {
        beyond++;
        continue;
      }
      const entry = index.insert(row, 0, 0);
      if (hasParent(row, 0) && index.word(entry, INDEX_ROW.parent) === ENTRY_NONE) orphans.add(entry, row);
    }
    await engine.write(stale.map((key) => ({ key, value: undefined })));
  }
  orphans.adopt(index);
  return { index, beyond };
}

async function readRecency(loading: Loading, manifest: Manifest, index: BlockIndex): Promise<void> {
  for (let part = 0; part < manifest.parts.length; part++) {
    const content = await readPart(loading.files, manifest, part);
    if (content === undefined) {
      loading.damaged(`part ${part} of checkpoint ${manifest.generation}`);
      continue;
    }
    for (let i = 0; i < content.count; i++) {
      const at = i * INDEX_ROW_WORDS;
      if (content.rows[at + INDEX_ROW.lengthBytes] === 0) continue;
      const entry = index.find(content.namespaces[i]!, content.keys, i * KEY_WORDS);
      if (entry >= 0) index.touch(entry, content.rows[at + INDEX_ROW.lastUsed]!);
    }
  }
}

/** Blocks met before their parents, with nine words each: entry and the parent's key. */
class Orphans {
  #words = new Uint32Array(9 * 1024);
  #count = 0;

  add(entry: number, row: Uint32Array): void {
    if (9 * (this.#count + 1) > this.#words.length) {
      const larger = new Uint32Array(this.#words.length * 2);
      larger.set(this.#words);
      this.#words = larger;
    }
    const at = 9 * this.#count++;
    this.#words[at] = entry;
    for (let word = 0; word < KEY_WORDS; word++) this.#words[at + 1 + word] = row[COMMIT_ROW.parent + word]!;
  }

  adopt(index: BlockIndex): void {
    for (let i = 0; i < this.#count; i++) {
      const entry = this.#words[9 * i]!;
      const parent = index.find(index.namespaceOf(entry), this.#words, 9 * i + 1);
      if (parent >= 0) index.adopt(entry, parent);
    }
  }
}
