import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { nodePlace, runRefill, startNodeProcess } from '../fixtures/node-process.ts';
import { mulberry } from '../fixtures/seeded-random.ts';

t.setTimeout(240_000);

const FIELDS = [
  'requests',
  'blocksReferenced',
  'blocksHit',
  'hitRate',
  'idealHitRate',
  'bytesRead',
  'bytesWritten',
  'readBytesPerSecond',
  'writeBytesPerSecond',
  'mismatches',
  'mismatchSamples',
  'readAmplification',
  'readsPerPrefix',
  'tiers',
  'puts',
  'promisedMisses',
  'durationMs',
  'flushMs',
  'concurrency',
  'durability',
  'node',
  'scale',
];

/** Conversations that go on from one another's prefixes: lists of ids, of `blocks` different ones in all. */
function prefixes(seed: number, blocks: number): number[][] {
  const random = mulberry(seed);
  const told: number[][] = [[]];
  let next = 0;
  while (next < blocks) {
    const start = told[Math.floor(random() * told.length)]!;
    const grown = start.slice(0, Math.ceil(start.length * (0.5 + random() / 2)));
    for (let i = 1 + Math.floor(random() * 40); i > 0 && next < blocks; i--) grown.push(next++);
    told.push(grown.slice(0, 400));
  }
  return told.slice(1);
}

function conversationTrace(path: string, blocks: number): void {
  const lines = prefixes(1, blocks).map((ids, i) =>
    JSON.stringify({
      timestamp: i * 100,
      input_length: ids.length * 512 - 17,
      output_length: 100,
      hash_ids: ids,
    }),
  );
  writeFileSync(path, `${lines.join('\n')}\n`);
}

function agenticTrace(path: string, seed: number, blocks: number): void {
  const requests = prefixes(seed, blocks).map((ids, i) => {
    const own = { t: i, in: ids.length * 64, out: 10, hash_ids: ids };
    if (i % 5 !== 4) return own;
    return { ...own, type: 'subagent', requests: [{ t: i, in: 64, out: 1, hash_ids: ids.slice(0, 1) }] };
  });
  writeFileSync(path, JSON.stringify({ id: `agent-${seed}`, block_size: 64, requests }));
}

const BLOCKS = 2560;

for (const [arena, blockBytes, how] of [
  ['256MiB', '64KiB', 'memory for all of it'],
  ['64MiB', '256KiB', 'memory for a tenth of it'],
] as const) {
  for (const format of ['conversation', 'agentic'] as const) {
    t.test(`a ${format} trace through a node with ${how} hits what an infinite cache would`, async (t) => {
      const place = nodePlace(t);
      const files = (format === 'conversation' ? [0] : [1, 2, 3]).map((i) => join(place.base, `trace-${i}`));
      if (format === 'conversation') conversationTrace(files[0]!, BLOCKS);
      else for (const [i, file] of files.entries()) agenticTrace(file, i + 1, Math.ceil(BLOCKS / 3));
      await startNodeProcess(t, place, { args: ['--arena', arena, '--segment', '64MiB'] });
      const { code, stdout, stderr } = await runRefill(
        [
          'replay',
          ...files,
          '--concurrency',
          '1',
          '--deadline-ms',
          '60000',
          '--block-bytes',
          blockBytes,
          '--json',
          '--socket',
          place.socketPath,
        ],
        { timeoutMs: 200_000 },
      );
      t.equal(code, 0, stderr);
      const result = JSON.parse(stdout);
      for (const field of FIELDS) t.ok(field in result, field);
      t.match(result, { mismatches: 0, promisedMisses: 0, puts: { failed: 0, late: 0, noRoom: 0 } });
      t.equal(result.hitRate, result.idealHitRate);
      t.ok(result.hitRate > 0.3, `${result.hitRate}`);
      const fromShared = result.tiers.shared.blocks;
      if (arena === '64MiB') t.ok(fromShared > 300, `${fromShared} from segments`);
      else t.equal(fromShared, 0);
    });
  }
}
