import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '@refill/client';
import t from 'tap';
import { forkPlain } from '../fixtures/child.ts';
import { nodePlace, repository, runRefill, startNodeProcess } from '../fixtures/node-process.ts';
import { keyOfNumber, payloadDifference } from '../fixtures/payload.mjs';

/** `REFILL_KILL_CYCLES=1000 npm test -- test/crash` runs longer. */
const cycles = Number(process.env.REFILL_KILL_CYCLES ?? 200);
const seed = Number(process.env.REFILL_SEED ?? Date.now() % 2 ** 31);
const fingerprint = { name: 'kill-loop', model: 'none', dtype: 'uint8', layout: 'bytes', tokensPerBlock: 16 };

interface LoadClient {
  child: ChildProcess;
  series: number;
  journal: string;
  violation: string | undefined;
}

t.setTimeout(60_000 + cycles * 5_000);

t.test(
  `a node killed ${cycles} times under two clients loses nothing acknowledged (seed ${seed})`,
  async (t) => {
    const place = nodePlace(t);
    let state = seed | 1;
    const random = (bound: number) => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return (state >>> 0) % bound;
    };

    const clients = [1, 2].map((series): LoadClient => {
      const journal = join(place.base, `journal-${series}`);
      const program = join(repository, 'test/fixtures/load-client.mjs');
      const child = forkPlain(program, [place.socketPath, journal, String(series), String(random(2 ** 31))]);
      const client: LoadClient = { child, series, journal, violation: undefined };
      child.on('message', (message: { violation?: string }) => {
        client.violation ??= message.violation;
      });
      t.teardown(() => child.kill('SIGKILL'));
      return client;
    });

    for (let cycle = 0; cycle < cycles; cycle++) {
      const node = await startNodeProcess(t, place);
      // Some kills come while the node is still recovering or its clients reconnecting.
      await sleep(random(4) === 0 ? random(30) : random(300));
      await node.end('SIGKILL');
      for (const client of clients) if (client.violation) return t.fail(client.violation);
    }

    const node = await startNodeProcess(t, place);
    await sleep(300);
    for (const client of clients) {
      const exited = once(client.child, 'exit');
      client.child.send('stop');
      await exited;
      t.equal(client.violation, undefined, 'no client saw a wrong or lost block');
    }
    const checked = await verifyJournals(t, place.socketPath, clients);
    t.ok(checked > cycles, `${checked} acknowledged blocks are there, byte for byte`);
    t.equal((await node.end('SIGTERM')).code, 0, 'the node stops cleanly');

    // Guarantee 4: the metadata is a cache of the segments.
    rmSync(place.state, { recursive: true });
    const rebuilt = await runRefill(['rebuild', '--root', place.root, '--state', place.state, '--json']);
    t.equal(rebuilt.code, 0, rebuilt.stderr);
    await startNodeProcess(t, place);
    t.equal(
      await verifyJournals(t, place.socketPath, clients),
      checked,
      'and after the index was lost and rebuilt',
    );
  },
);

async function verifyJournals(
  t: { fail(what: string): unknown },
  socketPath: string,
  clients: LoadClient[],
): Promise<number> {
  await using store = await connect({ socketPath });
  const namespace = await store.namespace(fingerprint);
  let checked = 0;
  for (const { series, journal } of clients) {
    const numbers = readFileSync(journal, 'utf8').trim().split('\n').map(Number);
    for (let i = 0; i < numbers.length; i += 16) {
      const some = numbers.slice(i, i + 16);
      using answer = await namespace.getMany(
        some.map((number) => keyOfNumber(series, number)),
        { deadlineMs: 30_000 },
      );
      for (const [j, number] of some.entries()) {
        const view = answer.views[j];
        if (view === undefined) t.fail(`series ${series} block ${number} is gone: ${answer.missReason(j)}`);
        else if (payloadDifference(view.bytes, series, number) >= 0)
          t.fail(`series ${series} block ${number} has wrong bytes`);
        else checked++;
      }
    }
  }
  return checked;
}
