import { COMMIT_ROW, COMMIT_ROW_WORDS, type ControlHandler, LOCATION_ROW_WORDS } from '@refill/interface';
import type { LocalDirectory } from '@refill/metadata';
import { HEAD_WORDS, MESSAGE, NODE_NAME_BYTES_MAX } from '../../packages/metadata/src/protocol/message.ts';
import { WordReader } from '../../packages/metadata/src/protocol/words.ts';
import type { World } from './world.ts';

/** Changes of which the body begins with the writer: node and epoch. */
const CHANGES: ReadonlySet<number> = new Set([
  MESSAGE.commit,
  MESSAGE.remove,
  MESSAGE.removeAt,
  MESSAGE.createSegment,
  MESSAGE.moveSegment,
  MESSAGE.forgetSegment,
]);
const NAMES = new Map<number, string>(Object.entries(MESSAGE).map(([name, type]) => [type, name]));
const COMMITS_MAX = 16_384;

/** Sees to guarantee 7 and rule R1 where changes arrive: what is asked for under an epoch that is over is refused. */
export function serviceWatch(
  world: World,
  directory: LocalDirectory,
  handler: ControlHandler,
): ControlHandler {
  return async (from, body) => {
    const reader = new WordReader(body.slice());
    const type = reader.word();
    if (!CHANGES.has(type)) return handler(from, body);
    reader.words(HEAD_WORDS - 1);
    const node = reader.text(NODE_NAME_BYTES_MAX);
    const epoch = reader.wide();
    const current = directory.epochOf(node);
    const closed = type === MESSAGE.commit ? closedSegmentOf(directory, reader) : undefined;
    const name = `${NAMES.get(type)} of ${node}:${epoch}`;
    world.trace.note(`service: ${name} came`);
    const answer = await handler(from, body);
    world.trace.note(`service: ${name} done`);
    if (epoch !== current)
      world.report(`G7: ${node} changed something under epoch ${epoch}, its current one is ${current}`);
    if (closed !== undefined)
      world.report(`R1: ${node} commits what it appended to segment ${closed}, which is not open`);
    return answer;
  };
}

/** A segment that is not open any more and of which a block is committed that the directory does not have. */
function closedSegmentOf(directory: LocalDirectory, reader: WordReader): number | undefined {
  reader.word();
  const count = reader.count(COMMITS_MAX, COMMIT_ROW_WORDS);
  const rows = reader.words(count * COMMIT_ROW_WORDS);
  const location = new Uint32Array(LOCATION_ROW_WORDS);
  for (let i = 0; i < count; i++) {
    const at = i * COMMIT_ROW_WORDS;
    const segment = directory.segment(rows[at + COMMIT_ROW.segment]!);
    if (segment === undefined || segment.state === 'open') continue;
    const key = rows.subarray(at + COMMIT_ROW.key, at + COMMIT_ROW.key + 8);
    void directory.lookup(rows[at + COMMIT_ROW.namespace]!, key, 1, location);
    if (location[0] === 0) return segment.index;
  }
  return undefined;
}
