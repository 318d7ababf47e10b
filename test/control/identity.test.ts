import { chmodSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadIdentity } from '@refill/control';
import t from 'tap';

t.test('a key is made once, readable by its owner only, and is the same ever after', async (t) => {
  const directory = join(t.testdir(), 'state');
  const made = await Promise.all(Array.from({ length: 8 }, () => loadIdentity(directory)));
  t.equal(new Set(made.map(({ peer }) => peer)).size, 1, 'of those that start at once one wins');
  t.match(made[0]!.peer, /^12D3KooW/);
  t.same(readdirSync(directory), ['control.key']);
  t.equal(statSync(join(directory, 'control.key')).mode & 0o777, 0o600);
  t.equal((await loadIdentity(directory)).peer, made[0]!.peer);
});

t.test('a key that others may read is refused, with the command that mends it', async (t) => {
  const directory = t.testdir();
  await loadIdentity(directory);
  const path = join(directory, 'control.key');
  for (const mode of [0o640, 0o604, 0o620]) {
    chmodSync(path, mode);
    await t.rejects(loadIdentity(directory), { code: 'ERR_CONFIG', message: /chmod 600/ });
  }
  chmodSync(path, 0o600);
  await loadIdentity(directory);
});

t.test('a damaged key is refused, whatever was damaged, and left alone', async (t) => {
  const directory = t.testdir();
  await loadIdentity(directory);
  const path = join(directory, 'control.key');
  const good = Buffer.from(readFileSync(path, 'latin1'), 'base64');
  const damaged = [Buffer.alloc(0), good.subarray(0, 40), Buffer.alloc(68, 1), Buffer.alloc(4096, 2)];
  for (const at of [2, 10, 50]) {
    const flipped = Buffer.from(good);
    flipped[at]! ^= 0x10;
    damaged.push(flipped);
  }
  for (const bytes of damaged) {
    writeFileSync(path, bytes.toString('base64'), { mode: 0o600 });
    await t.rejects(loadIdentity(directory), { code: 'ERR_CONFIG', message: /holds no Ed25519 key/ });
    t.equal(readFileSync(path, 'latin1'), bytes.toString('base64'));
  }
});

t.test('a link is no key', async (t) => {
  const other = t.testdir({ state: {}, other: {} });
  await loadIdentity(join(other, 'other'));
  symlinkSync(join(other, 'other', 'control.key'), join(other, 'state', 'control.key'));
  await t.rejects(loadIdentity(join(other, 'state')), { code: 'ERR_CONFIG', message: /plain file/ });
});
