import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { CpuMeter, processTree } from '../../bench/src/cpu-meter.ts';

const BURN =
  'const from = process.cpuUsage(); do { var used = process.cpuUsage(from); } while (used.user + used.system < 300_000);';

t.test('counts what a grandchild uses', async (t) => {
  const nest = `require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(
    `process.stdin.once('data', () => { ${BURN} console.log('done') }); console.log('ready')`,
  )}], { stdio: 'inherit' })`;
  const child = spawn(process.execPath, ['-e', nest], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => {
    for (const pid of processTree(child.pid!).reverse()) process.kill(pid, 'SIGKILL');
  });
  await once(child.stdout, 'data');
  t.equal(processTree(child.pid!).length, 2);
  const meter = new CpuMeter([child.pid!]);
  child.stdin.write('go');
  await once(child.stdout, 'data');
  t.ok(meter.seconds() > 0.1, '0.3 s of CPU are seen');
});

t.test('a process that is gone costs nothing', async (t) => {
  t.strictSame(processTree(2 ** 22 - 1), [2 ** 22 - 1]);
  t.ok(new CpuMeter([2 ** 22 - 1]).seconds() >= 0);
});
