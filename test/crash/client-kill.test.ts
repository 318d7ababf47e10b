import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '@refill/client';
import t from 'tap';
import { forkPlain } from '../fixtures/child.ts';
import { nodePlace, repository, startNodeProcess } from '../fixtures/node-process.ts';

const kills = Number(process.env.REFILL_CLIENT_KILLS ?? 30);
t.setTimeout(60_000 + kills * 5_000);

function startHolder(
  t: { teardown(fn: () => unknown): unknown },
  socketPath: string,
  series: number,
): ChildProcess {
  const child = forkPlain(join(repository, 'test/fixtures/holding-client.mjs'), [socketPath, String(series)]);
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}

t.test(
  `clients killed ${kills} times at any instant leave no pin, reservation or session behind`,
  async (t) => {
    const place = nodePlace(t);
    const node = await startNodeProcess(t, place);
    await using store = await connect({ socketPath: place.socketPath });
    for (let kill = 0; kill < kills; kill++) {
      const child = startHolder(t, place.socketPath, kill % 5);
      const exited = once(child, 'exit');
      if (kill % 3 !== 0) await once(child, 'message');
      await sleep(kill % 3 === 0 ? 150 + kill * 5 : kill);
      child.kill('SIGKILL');
      await exited;
    }
    await store.flush({ deadlineMs: 30_000 });
    let status = await store.status();
    for (let wait = 0; wait < 100 && (status.sessions > 1 || status.arena.pinnedBytes > 0); wait++) {
      await sleep(50);
      status = await store.status();
    }
    t.equal(status.sessions, 1, 'only this connection is left');
    t.equal(status.arena.pinnedBytes, 0, 'nothing is pinned');

    // What the dead had reserved or pinned can be used by the living: the whole arena is there again.
    const namespace = await store.namespace({
      name: 'after',
      model: 'none',
      dtype: 'uint8',
      layout: 'bytes',
      tokensPerBlock: 16,
    });
    const big = new Uint8Array(1 << 20).fill(7);
    for (let number = 0; number < 80; number++) {
      const key = new Uint8Array(32).fill(number + 1);
      t.equal(await namespace.put({ key }, big, { durability: 'shared', deadlineMs: 30_000 }), 'stored');
    }
    t.equal((await node.end('SIGTERM')).code, 0);
  },
);
