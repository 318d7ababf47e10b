import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { IdealCache, openTrace, type Trace, type TraceRequest } from '@refill/cli';
import t from 'tap';

async function all(trace: Trace): Promise<TraceRequest[]> {
  const requests: TraceRequest[] = [];
  for await (const request of trace.requests) requests.push(request);
  return requests;
}

const LINES = [
  '{"timestamp": 0, "input_length": 1024, "output_length": 5, "hash_ids": [0, 1]}',
  '',
  '{"timestamp": 27.5, "input_length": 1500, "output_length": 7, "hash_ids": [0, 1, 2]}',
].join('\n');

const AGENTIC = {
  id: 'trace_1',
  block_size: 64,
  hash_id_scope: 'local',
  requests: [
    { t: 0, type: 'n', in: 128, out: 3, hash_ids: [1, 2] },
    {
      t: 1.5,
      type: 'subagent',
      requests: [
        { t: 2, type: 's', in: 64, out: 1, hash_ids: [7] },
        {
          t: 3,
          type: 'subagent',
          in: 1,
          out: 1,
          hash_ids: [8],
          requests: [{ t: 4, type: 'n', in: 1, out: 1, hash_ids: [9] }],
        },
      ],
    },
    { t: 9, type: 's', in: 192, out: 3, hash_ids: [1, 2, 3] },
  ],
};

t.test('lines of the conversation format are read one by one', async (t) => {
  const path = join(t.testdir({ 'chat.txt': LINES }), 'chat.txt');
  const trace = await openTrace(path);
  t.match(trace, { name: 'chat.txt', ordered: false, tokensPerBlock: 512, requestCount: undefined });
  t.same(await all(trace), [
    { atMs: 0, inputTokens: 1024, outputTokens: 5, hashIds: [0, 1] },
    { atMs: 27.5, inputTokens: 1500, outputTokens: 7, hashIds: [0, 1, 2] },
  ]);
});

t.test('an agentic document is read with the requests of its subagents where they stand', async (t) => {
  const path = join(t.testdir({ 'a.json': JSON.stringify(AGENTIC) }), 'a.json');
  const trace = await openTrace(path);
  t.match(trace, {
    name: 'trace_1',
    scope: 'agentic:trace_1',
    ordered: true,
    tokensPerBlock: 64,
    requestCount: 5,
  });
  const requests = await all(trace);
  t.same(
    requests.map(({ hashIds }) => hashIds),
    [[1, 2], [7], [8], [9], [1, 2, 3]],
  );
  t.equal(requests[1]!.atMs, 2000);
});

t.test('a printed agentic document is told from lines all the same', async (t) => {
  const path = join(t.testdir({ a: JSON.stringify({ ...AGENTIC, hash_id_scope: 'global' }, null, 2) }), 'a');
  t.match(await openTrace(path), { requestCount: 5, scope: 'agentic:global' });
});

t.test('a malformed trace is refused with file, line and field', async (t) => {
  const line = (text: string): string => `${LINES}\n${text}\n`;
  const cases: [string, RegExp][] = [
    [
      line('{"timestamp": 1, "input_length": 1, "output_length": 1}'),
      /trace:4: hash_ids must be a list of block ids, got nothing/,
    ],
    [
      line('{"timestamp": 1, "input_length": 1, "output_length": 1, "hash_ids": [0, "x"]}'),
      /:4: hash_ids\[1\] must be a whole number from 0, got "x"/,
    ],
    [line('{"timestamp": 1, "input_length": 1, "output_length": 1, "hash_ids": [-1]}'), /:4: hash_ids\[0\]/],
    [
      line('{"timestamp": "1", "input_length": 1, "output_length": 1, "hash_ids": []}'),
      /:4: timestamp must be a number/,
    ],
    [line('{"timestamp": 1, "output_length": 1, "hash_ids": []}'), /:4: input_length must be/],
    [line('{"timestamp": 1'), /:4: is not JSON/],
    [line('[1]'), /:4: must be an object/],
    ['{"timestamp": 1\n{"timestamp": 2}', /:1: is not JSON/],
    ['', /trace: is empty/],
    ['hello', /trace: is no trace/],
    ['{"id": 1}', /trace: has no field requests/],
    ['{"requests": []}', /trace: block_size must be a number from 0, got nothing/],
    ['{"block_size": 0.5, "requests": []}', /block_size must be a whole number from 1/],
    ['{"block_size": 64, "requests": {}}', /requests must be a list/],
    ['{"block_size": 64, "requests": [3]}', /requests\[0\] must be an object/],
    [
      '{"block_size": 64, "requests": [{"t": 0, "type": "n", "in": 1, "out": 1}]}',
      /requests\[0\]\.hash_ids must be a list/,
    ],
    [
      '{"block_size": 64, "requests": [{"type": "subagent", "requests": [{"t": 0, "in": 1, "out": 1, "hash_ids": [1.5]}]}]}',
      /requests\[0\]\.requests\[0\]\.hash_ids\[0\] must be a whole number/,
    ],
    ['{"block_size": 64, "requests": [', /is not JSON/],
  ];
  for (const [text, message] of cases) {
    const path = join(t.testdir({ trace: text }), 'trace');
    await t.rejects(openTrace(path).then(all), { code: 'ERR_INVALID_ARGUMENT', message }, text.slice(-80));
  }
  await t.rejects(openTrace('/nonexistent/trace'), {
    message: /\/nonexistent\/trace: cannot be opened \(ENOENT\)/,
  });
});

t.test('the ideal cache hits leading blocks that an earlier request of the scope had', async (t) => {
  const ideal = new IdealCache();
  t.equal(ideal.add('a', [1, 2, 3]), 0);
  t.equal(ideal.add('a', [1, 2, 4]), 2);
  t.equal(ideal.add('a', [9, 2, 3]), 0, 'a block after a miss is no hit');
  t.equal(ideal.add('b', [1, 2, 3]), 0, 'ids of another scope are other blocks');
  t.equal(ideal.add('a', [1, 2, 4]), 3);
  t.equal(ideal.hitRate, 5 / 15);
});

t.test('recorded traces have the hit rates that are known of them', async (t) => {
  const data = process.env.REFILL_DATA ?? fileURLToPath(new URL('../../../../shared/data', import.meta.url));
  const recorded = join(data, 'conversation_trace.jsonl');
  // Without the recording a small one of the same format takes its place, with figures counted by hand.
  const path = existsSync(recorded) ? recorded : join(t.testdir({ 'chat.txt': LINES }), 'chat.txt');
  const expected = existsSync(recorded)
    ? { requests: 12_031, referenced: 288_500, percent: '36.6' }
    : { requests: 2, referenced: 5, percent: '40.0' };
  const ideal = new IdealCache();
  let requests = 0;
  for await (const { hashIds } of (await openTrace(path)).requests) {
    requests++;
    ideal.add('', hashIds);
  }
  t.same(
    { requests, referenced: ideal.blocksReferenced, percent: (ideal.hitRate * 100).toFixed(1) },
    expected,
  );
});
