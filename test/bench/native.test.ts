import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { nativeProgram } from '../../bench/src/build-native.ts';
import { runProgram } from '../../bench/src/run-program.ts';

const noCompiler = spawnSync('gcc', ['--version']).error !== undefined && 'needs gcc';

async function run(program: string, ...args: (string | number)[]): Promise<Record<string, number | string>> {
  return JSON.parse(await runProgram(nativeProgram(program), args.map(String)));
}

t.test(
  'io_uring writes segments of the size that they are told and reads them back',
  { skip: noCompiler },
  async (t) => {
    const dir = t.testdir();
    const file = join(dir, 'f');
    const written = await run(
      'uring_io',
      '--file',
      file,
      '--op',
      'write',
      '--bs',
      65536,
      '--qd',
      4,
      '--bytes',
      3145728,
      '--segment',
      1048576,
    );
    t.equal(written.bytes, 3145728);
    for (const number of [0, 1, 2]) t.equal(statSync(`${file}.${number}`).size, 1048576);
    const read = await run(
      'uring_io',
      '--file',
      `${file}.1`,
      '--bs',
      65536,
      '--bytes',
      1048576,
      '--order',
      'random',
    );
    t.equal(read.bytes, 1048576);
  },
);

t.test('a program refuses an argument that it does not know', { skip: noCompiler }, async (t) => {
  await t.rejects(run('uring_io', '--block', 4096), /unknown or incomplete argument --block/);
  await t.rejects(run('uring_io', '--file', 'x', '--bs', 'many'), /--bs must be a whole number, got many/);
});

t.test('a file a block is stored once and loaded', { skip: noCompiler }, async (t) => {
  const args = ['--block', 65536, '--threads', 4];
  const dir = join(t.testdir(), 'd');
  t.ok(
    Number(
      (await run('file_per_block', ...args, '--dir', dir, '--blocks', 40, '--op', 'store'))
        .gigabytesPerSecond,
    ) > 0,
  );
  t.ok(
    Number(
      (await run('file_per_block', ...args, '--dir', dir, '--blocks', 40, '--op', 'load')).gigabytesPerSecond,
    ) > 0,
  );
  await t.rejects(run('file_per_block', ...args, '--dir', dir, '--blocks', 41, '--op', 'load'), /missing/);
});

t.test('the other limits print what the rows need', { skip: noCompiler }, async (t) => {
  t.match(await run('socket_ping', '--count', 100), { p50Us: Number, p99Us: Number });
  t.match(await run('memcpy_bw', '--source', 8388608, '--target', 8388608, '--bytes', 33554432), {
    gigabytesPerSecond: Number,
    pages: String,
  });
  t.match(await run('arena_baseline', '--bytes', 8388608), {
    startSecondsPerGibibyte: Number,
    attachSecondsPerGibibyte: Number,
    pages: String,
  });
});
