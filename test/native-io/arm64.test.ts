import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

// On arm64 itself the build and the rest of the suite show the same.
const COMPILER = 'aarch64-linux-gnu-g++';
const EMULATORS = ['qemu-aarch64-static', 'qemu-aarch64'];
const has = (command: string): boolean => spawnSync(command, ['--version']).status === 0;
const native = fileURLToPath(new URL('../../packages/native-io/native/', import.meta.url));
const units = readdirSync(native).filter((name) => name.endsWith('.cc'));
/** What needs Node; the rest is compiled for the driver. */
const ofAddon = (name: string): boolean => /^(addon|jobs)/.test(name);

t.setTimeout(300_000);

t.test('the addon compiles for arm64 without a warning', async (t) => {
  if (!has(COMPILER)) return t.plan(0, `needs ${COMPILER} (Debian: g++-aarch64-linux-gnu)`);
  const packageJson = new URL('../../packages/native-io/package.json', import.meta.url);
  const headers = createRequire(packageJson)('node-api-headers').include_dir;
  const flags = ['-fsyntax-only', '-std=c++20', '-fPIC', '-Wall', '-Wextra', '-Werror', '-I', headers];
  const { status, stderr } = spawnSync(COMPILER, [
    ...flags,
    ...units.filter(ofAddon).map((name) => join(native, name)),
  ]);
  t.equal(status, 0, stderr.toString());
});

t.test(
  'the native layers run on an emulated arm64, PMULL checksums included',
  { timeout: 240_000 },
  async (t) => {
    const emulator = EMULATORS.find(has);
    if (!has(COMPILER) || emulator === undefined) {
      return t.plan(
        0,
        `needs ${COMPILER} and ${EMULATORS[0]} (Debian: g++-aarch64-linux-gnu, qemu-user-static)`,
      );
    }
    const folder = t.testdir({ root: {} });
    const program = join(folder, 'driver');
    const withoutNode = units.filter((name) => !ofAddon(name));
    const flags = ['-O1', '-std=c++20', '-pthread', '-static', '-Wall', '-Wextra', '-Werror', '-o', program];
    const built = spawnSync(COMPILER, [...flags, ...withoutNode.map((name) => join(native, name))]);
    t.equal(built.status, 0, built.stderr.toString());
    mkdirSync(join(folder, 'root'), { recursive: true });
    const { status, stdout, stderr } = spawnSync(emulator, [program, join(folder, 'root')], {
      timeout: 90_000,
    });
    for (const line of stdout.toString().split('\n')) {
      const [, not, name] = /^(not )?ok \d+ - (.*)$/.exec(line) ?? [];
      if (name !== undefined) t.equal(not, undefined, name);
    }
    t.equal(status, 0, stderr.toString());
    t.match(stdout.toString(), /checksums agree at every level/);
  },
);
