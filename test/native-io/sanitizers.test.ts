import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const sources = fileURLToPath(new URL('../../packages/native-io/native/', import.meta.url));

t.setTimeout(600_000);

t.test('the native layers run clean under AddressSanitizer and UBSan', { timeout: 540_000 }, async (t) => {
  const directory = t.testdir({ root: {} });
  const program = join(directory, 'driver');
  // Everything but what needs Node.
  const units = readdirSync(sources).filter((name) => /\.cc$/.test(name) && !/^(addon|jobs)/.test(name));
  const flags = [
    '-O1',
    '-g',
    '-std=c++20',
    '-pthread',
    '-fsanitize=address,undefined',
    '-fno-sanitize-recover=all',
  ];
  const built = spawnSync('g++', [...flags, ...units.map((name) => join(sources, name)), '-o', program]);
  if (process.env.CI !== 'true' && /cannot find.*lib(a|ub)san/.test(built.stderr.toString())) {
    t.plan(0, 'needs the sanitizer libraries of g++');
    return;
  }
  t.equal(built.status, 0, built.stderr.toString());
  const { status, stdout, stderr } = spawnSync(program, [join(directory, 'root')], { timeout: 240_000 });
  for (const line of stdout.toString().split('\n')) {
    const [, not, name] = /^(not )?ok \d+ - (.*)$/.exec(line) ?? [];
    if (name !== undefined) t.equal(not, undefined, name);
  }
  t.equal(stderr.toString(), '');
  t.equal(status, 0);
});
