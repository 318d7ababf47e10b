import {
  COMMIT_ROW,
  COMMIT_ROW_WORDS,
  invariant,
  KEY_WORDS,
  KEYS_PER_CALL_MAX,
  LOCATION_ROW,
  LOCATION_ROW_WORDS,
} from '@refill/interface';
import { blockFingerprint } from '../protocol/fingerprint.ts';
import { COUNTED_MAX, NODE_NAME_BYTES_MAX } from '../protocol/message.ts';
import { WordWriter } from '../protocol/words.ts';
import { assertWriter, NO_WORDS, type ServiceCore, type ServiceHandler } from './service-core.ts';

/** `namespace, count, keys` -> location rows. Nothing when the indexes are of another directory. */
export const handleLookup: ServiceHandler = (core, { reader, known }) => {
  const namespace = reader.word();
  const count = reader.count(KEYS_PER_CALL_MAX, KEY_WORDS);
  const keys = reader.words(count * KEY_WORDS);
  if (known.incarnation !== core.directory.incarnation) return NO_WORDS;
  core.counters.keysLookedUp += count;
  const rows = new Uint32Array(count * LOCATION_ROW_WORDS);
  const filled = (): Uint32Array => {
    core.residency.fill(namespace, keys, count, rows);
    return rows;
  };
  const waiting = core.directory.lookup(namespace, keys, count, rows);
  return waiting === undefined ? filled() : waiting.then(filled);
};

/** `namespace, count, keys` -> `length`. */
export const handleMatchPrefix: ServiceHandler = async (core, { reader, known }) => {
  const namespace = reader.word();
  const count = reader.count(KEYS_PER_CALL_MAX, KEY_WORDS);
  const keys = reader.words(count * KEY_WORDS);
  if (known.incarnation !== core.directory.incarnation) return NO_WORDS;
  return Uint32Array.of(await core.directory.matchPrefix(namespace, keys, count));
};

/** `node, epoch(2), durable, count, commit rows` -> `accepted` as bytes, then counts. */
export const handleCommit: ServiceHandler = async (core, request) => {
  const { reader } = request;
  const node = reader.text(NODE_NAME_BYTES_MAX);
  const epoch = reader.wide();
  const durable = reader.word() !== 0;
  const count = reader.count(KEYS_PER_CALL_MAX, COMMIT_ROW_WORDS);
  const rows = reader.words(count * COMMIT_ROW_WORDS);
  assertWriter(core, request, node, epoch);
  const accepted = new Uint8Array(count);
  await core.directory.commit(node, epoch, rows, count, accepted, {
    durable: durable || core.options.durableCommits,
  });
  core.counters.blocksCommitted += count;
  core.ends.note(rows, count);
  endFills(core, rows, count);
  const writer = new WordWriter(2 + count / 4 + 32).bytes(accepted);
  putCounts(core, writer, segmentsOf(rows, count, COMMIT_ROW_WORDS, COMMIT_ROW.segment));
  return writer.finishWords();
};

/** `node, epoch(2), namespace, count, keys` -> `removed`, then counts. */
export const handleRemove: ServiceHandler = async (core, request) => {
  const { reader } = request;
  const node = reader.text(NODE_NAME_BYTES_MAX);
  const epoch = reader.wide();
  const namespace = reader.word();
  const count = reader.count(KEYS_PER_CALL_MAX, KEY_WORDS);
  const keys = reader.words(count * KEY_WORDS);
  assertWriter(core, request, node, epoch);
  const rows = new Uint32Array(count * LOCATION_ROW_WORDS);
  await core.directory.lookup(namespace, keys, count, rows);
  const durable = core.options.durableCommits;
  const removed = await core.directory.remove(namespace, keys, count, { durable });
  const writer = new WordWriter().word(removed);
  putCounts(
    core,
    writer,
    segmentsOf(rows, count, LOCATION_ROW_WORDS, LOCATION_ROW.segment, LOCATION_ROW.found),
  );
  return writer.finishWords();
};

/** `node, epoch(2), namespace, key, segment, offsetPages` -> `removed`, then counts. */
export const handleRemoveAt: ServiceHandler = async (core, request) => {
  const { reader } = request;
  const node = reader.text(NODE_NAME_BYTES_MAX);
  const epoch = reader.wide();
  const namespace = reader.word();
  const key = reader.words(KEY_WORDS);
  const segment = reader.word();
  const offsetPages = reader.word();
  assertWriter(core, request, node, epoch);
  const removed = await core.directory.removeAt(namespace, key, segment, offsetPages);
  const writer = new WordWriter().word(removed ? 1 : 0);
  putCounts(core, writer, [segment]);
  return writer.finishWords();
};

function endFills(core: ServiceCore, rows: Uint32Array, count: number): void {
  if (core.fills.size === 0) return;
  const print = new Uint32Array(2);
  for (let i = 0; i < count; i++) {
    const at = i * COMMIT_ROW_WORDS;
    blockFingerprint(rows[at + COMMIT_ROW.namespace]!, rows, at + COMMIT_ROW.key, print);
    core.fills.arrived(print[0]!, print[1]!);
  }
}

/** The segments that rows name, each once; `flag` is a column that must not be 0. */
function segmentsOf(
  rows: Uint32Array,
  count: number,
  words: number,
  column: number,
  flag?: number,
): number[] {
  const segments = new Set<number>();
  let last = -1;
  for (let i = 0; i < count; i++) {
    const segment = rows[i * words + column]!;
    if (segment === last || (flag !== undefined && rows[i * words + flag] === 0)) continue;
    last = segment;
    segments.add(segment);
  }
  return [...segments];
}

/** Live counts of segments and of their namespaces, as they are now. */
function putCounts(core: ServiceCore, writer: WordWriter, indexes: readonly number[]): void {
  const segments = indexes.flatMap((index) => core.directory.segment(index) ?? []).slice(0, COUNTED_MAX);
  const namespaces = [...new Set(segments.map(({ namespace }) => namespace))];
  writer.word(segments.length);
  for (const { index, liveBlocks, liveBytes } of segments)
    writer.word(index).wide(liveBlocks).wide(liveBytes);
  writer.word(namespaces.length);
  for (const index of namespaces) {
    const namespace = core.directory.namespace(index);
    invariant(namespace !== undefined, 'a segment is of a namespace in the directory');
    writer.word(index).wide(namespace.blocks).wide(namespace.bytes);
  }
}
