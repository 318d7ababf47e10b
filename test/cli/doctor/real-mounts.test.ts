import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type FaultFs, type FaultFsOptions, mountFaultFs } from '../../fixtures/fault-fs.ts';
import { runRefill } from '../../fixtures/node-process.ts';
import { requiresFuse } from '../../fixtures/requires.ts';

const ROUNDS = 96;

interface Mounts {
  first: FaultFs;
  second: FaultFs;
  /** Runs `refill doctor` on a folder that both mounts have; its exit code and what it found each way. */
  doctor(...more: string[]): Promise<{ code: number | null; failures: number; ways: Way[]; stderr: string }>;
}

interface Way {
  name: string;
  level: string;
  figures: { rounds: number; right: number; wrong: number; late: number; stale: number };
}

/** Two mounts of our own file system over one directory. */
async function twoMounts(t: Test, options: FaultFsOptions = {}): Promise<Mounts> {
  const first = await mountFaultFs(t, options);
  const second = await mountFaultFs(t, { ...options, backing: first.backing });
  mkdirSync(join(first.path, 'root'));
  return {
    first,
    second,
    async doctor(...more) {
      const folders = ['--root', join(first.path, 'root'), '--second', join(second.path, 'root')];
      const { code, stdout, stderr } = await runRefill(
        ['doctor', ...folders, '--rounds', String(ROUNDS), '--json', ...more],
        { timeoutMs: 120_000 },
      );
      if (!stdout.startsWith('{')) throw new Error(`doctor ended with ${code}: ${stderr}`);
      const { findings, failures } = JSON.parse(stdout);
      const ways = findings.filter((finding: Way) => finding.figures?.rounds !== undefined);
      return { code, failures, ways, stderr };
    },
  };
}

t.test('two honest mounts of one file system pass, both ways', async (t) => {
  if (!requiresFuse(t)) return;
  const { doctor } = await twoMounts(t);
  const { code, failures, ways, stderr } = await doctor();
  t.equal(code, 0, stderr);
  t.equal(failures, 0);
  t.match(ways, [
    { level: 'ok', figures: { rounds: ROUNDS, wrong: 0 } },
    { level: 'ok', figures: { rounds: ROUNDS, wrong: 0 } },
  ]);
});

t.test('a mount that acknowledges writes it did not make fails in its own direction', async (t) => {
  if (!requiresFuse(t)) return;
  const { second, doctor } = await twoMounts(t);
  await second.lie({ op: 'write', path: 'segment-', n: 10, count: 3 });
  const { code, failures, ways, stderr } = await doctor();
  t.equal(code, 1, stderr);
  t.equal(failures, 1);
  const [there, back] = ways;
  t.match(there, { level: 'ok', figures: { wrong: 0 } });
  t.match(back, { level: 'fail', figures: { rounds: ROUNDS, wrong: 3, right: ROUNDS - 3 } });
});

t.test('a mount that reads from a stale cache fails in its own direction', async (t) => {
  if (!requiresFuse(t)) return;
  const { second, doctor } = await twoMounts(t);
  // A block is read again three times before it is given up: two blocks never come right, one comes late.
  await second.lie({ op: 'read', path: 'segment-', n: 20, count: 9 });
  const { code, failures, ways, stderr } = await doctor();
  t.equal(code, 1, stderr);
  t.equal(failures, 1);
  const [there, back] = ways;
  t.match(there, { level: 'fail', figures: { rounds: ROUNDS, wrong: 2, late: 1, stale: 9 } });
  t.match(back, { level: 'ok', figures: { wrong: 0 } });
});
