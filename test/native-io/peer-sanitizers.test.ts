import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const sources = fileURLToPath(new URL('../../packages/native-io/native/', import.meta.url));
const SANITIZERS = { 'address,undefined': /cannot find.*lib(a|ub)san/, thread: /cannot find.*libtsan/ };

for (const [sanitizers, missing] of Object.entries(SANITIZERS)) {
  t.test(`transports run clean under -fsanitize=${sanitizers}`, { timeout: 110_000 }, async (t) => {
    const program = join(t.testdir({}), 'driver');
    const own = /^(peer_|test_peer|checksum|buffers|arena|files|guard)/;
    const units = readdirSync(sources).filter((name) => name.endsWith('.cc') && own.test(name));
    const built = spawnSync('g++', [
      '-O1',
      '-g',
      '-std=c++20',
      '-pthread',
      '-DREFILL_TEST_PEER_MAIN',
      `-fsanitize=${sanitizers}`,
      '-fno-sanitize-recover=all',
      ...units.map((name) => join(sources, name)),
      '-o',
      program,
    ]);
    if (process.env.CI !== 'true' && missing.test(built.stderr.toString())) {
      t.plan(0, 'needs the sanitizer libraries of g++');
      return;
    }
    t.equal(built.status, 0, built.stderr.toString());
    const { status, stdout, stderr } = spawnSync(program, { timeout: 90_000 });
    for (const line of stdout.toString().split('\n')) {
      const [, not, name] = /^(not )?ok \d+ - (.*)$/.exec(line) ?? [];
      if (name !== undefined) t.equal(not, undefined, name);
    }
    t.equal(stderr.toString(), '');
    t.equal(status, 0);
  });
}
