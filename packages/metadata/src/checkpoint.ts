import { createHash } from 'node:crypto';
import { KEY_WORDS, type SmallFiles } from '@refill/interface';
import { compress, uncompress } from 'lz4-napi';
import { type BlockIndex, INDEX_ROW_WORDS } from './block-index.ts';
import { decodeSmall, encodeSmall } from './record.ts';

const FOLDER = 'checkpoints';
/** Entries a part: 5.5 MB before compression, so that neither writing nor reading needs much memory. */
const PART_ENTRIES = 65_536;
const PART_BYTES_MAX = 16 * 1024 * 1024;
/** Words an entry: key, namespace, row of the index. */
const ENTRY_WORDS = KEY_WORDS + 1 + INDEX_ROW_WORDS;

export interface Manifest {
  generation: number;
  /** Of the directory whose indexes the entries name; absent in checkpoints of earlier versions. */
  incarnation?: number;
  /**
   * The life of the metadata service that wrote it, and the version of its catalogue from before: it shows no block that
   * was deleted up to then. Absent where no service served the directory.
   */
  session?: number;
  catalogueVersion?: number;
  parts: { entries: number; sha256: string }[];
}

/** One part taken apart again: `count` entries from `first`. */
export interface Part {
  count: number;
  keys: Uint32Array;
  namespaces: Uint32Array;
  rows: Uint32Array;
}

/**
 * Writes the index as a new generation: parts first, then the manifest that names them by digest, then the older
 * generations go. A crash leaves the older generation whole, and at worst parts without a manifest, which the next
 * checkpoint removes. Entries may change between two parts: recency and locations are each right for some moment
 * of the writing, and the same throughout when nothing changes, as at `stop`.
 */
export async function writeCheckpoint(
  files: SmallFiles,
  index: BlockIndex,
  asOf: Pick<Manifest, 'incarnation' | 'session' | 'catalogueVersion'>,
): Promise<Manifest> {
  const names = await files.list(FOLDER);
  const generation = 1 + names.reduce((last, name) => Math.max(last, generationOf(name)), 0);
  const parts: Manifest['parts'] = [];
  for (let first = 0; first < index.entryEnd; first += PART_ENTRIES) {
    const words = pack(index, first, Math.min(PART_ENTRIES, index.entryEnd - first));
    const bytes = await compress(new Uint8Array(words.buffer));
    await files.writeFile(partPath(generation, parts.length), bytes);
    parts.push({ entries: words.length / ENTRY_WORDS, sha256: digest(bytes) });
  }
  const manifest = { generation, ...asOf, parts };
  const body = Buffer.from(encodeSmall(manifest)).toString();
  await files.writeFile(manifestPath(generation), Buffer.from(`${body}\n${digest(body)}\n`));
  for (const name of names) await files.unlink(`${FOLDER}/${name}`);
  return manifest;
}

/** Newest whole manifest; `damaged` counts those that were passed over. */
export async function findManifest(files: SmallFiles): Promise<{ manifest?: Manifest; damaged: number }> {
  const names = (await files.list(FOLDER)).filter((name) => name.endsWith('.manifest')).reverse();
  let damaged = 0;
  for (const name of names) {
    const bytes = await files.readFile(`${FOLDER}/${name}`, { maxBytes: PART_BYTES_MAX });
    if (bytes === undefined) continue;
    const [body, sum] = Buffer.from(bytes).toString().split('\n');
    if (body !== undefined && sum === digest(body)) {
      return { manifest: decodeSmall<Manifest>(Buffer.from(body), name), damaged };
    }
    damaged++;
  }
  return { damaged };
}

/** Reads one part; `undefined` when it is missing or not the one that the manifest names. */
export async function readPart(
  files: SmallFiles,
  manifest: Manifest,
  part: number,
): Promise<Part | undefined> {
  const expected = manifest.parts[part]!;
  const bytes = await files.readFile(partPath(manifest.generation, part), { maxBytes: PART_BYTES_MAX });
  if (bytes === undefined || digest(bytes) !== expected.sha256) return undefined;
  const plain = new Uint8Array(await uncompress(bytes));
  if (plain.length !== expected.entries * ENTRY_WORDS * 4) return undefined;
  return unpack(new Uint32Array(plain.buffer), expected.entries);
}

export async function removeCheckpoints(files: SmallFiles): Promise<void> {
  // Newest first: a manifest goes before its parts.
  for (const name of (await files.list(FOLDER)).sort().reverse()) await files.unlink(`${FOLDER}/${name}`);
}

/** Column after column, because columns compress and rows do not: keys, namespaces, then the columns of the rows. */
function pack(index: BlockIndex, first: number, count: number): Uint32Array {
  const words = new Uint32Array(count * ENTRY_WORDS);
  const row = new Uint32Array(INDEX_ROW_WORDS);
  for (let i = 0; i < count; i++) {
    index.copyKey(first + i, words, i * KEY_WORDS);
    words[count * KEY_WORDS + i] = index.namespaceOf(first + i);
    index.copyRow(first + i, row, 0);
    for (let word = 0; word < INDEX_ROW_WORDS; word++) {
      words[count * (KEY_WORDS + 1 + word) + i] = row[word]!;
    }
  }
  return words;
}

function unpack(words: Uint32Array, count: number): Part {
  const keys = words.subarray(0, count * KEY_WORDS);
  const namespaces = words.subarray(count * KEY_WORDS, count * (KEY_WORDS + 1));
  const rows = new Uint32Array(count * INDEX_ROW_WORDS);
  for (let i = 0; i < count; i++) {
    for (let word = 0; word < INDEX_ROW_WORDS; word++) {
      rows[i * INDEX_ROW_WORDS + word] = words[count * (KEY_WORDS + 1 + word) + i]!;
    }
  }
  return { count, keys, namespaces, rows };
}

function partPath(generation: number, part: number): string {
  return `${FOLDER}/${String(generation).padStart(10, '0')}-${String(part).padStart(6, '0')}`;
}

function manifestPath(generation: number): string {
  return `${FOLDER}/${String(generation).padStart(10, '0')}.manifest`;
}

function generationOf(name: string): number {
  return Number(/^\d{10}/.exec(name)?.[0] ?? 0);
}

function digest(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}
