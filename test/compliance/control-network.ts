import { CONTROL_BYTES_MAX, type ControlNetwork, RefillError } from '@refill/interface';
import type { Test } from 'tap';

const ECHO = '/refill/echo/1';
const OPTIONS = { deadlineMs: 10_000 };
const utf8 = new TextEncoder();
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Bytes that differ at every place and for every `seed`. */
function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8) * 7 + seed) & 0xff;
  return bytes;
}

const equalBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/**
 * What every control network promises. `create` gives members that may talk to one another, not started; the suite
 * sets their handlers. `self` is only read while a member is started.
 */
export function controlCompliance(
  t: Test,
  create: (t: Test, count: number) => ControlNetwork[] | Promise<ControlNetwork[]>,
): void {
  /** Two started members; `b` answers `ECHO` with the request unless `handle` says otherwise. */
  const pair = async (
    t: Test,
    handle: Parameters<ControlNetwork['handle']>[1] = (_, body) => body.slice(),
  ): Promise<[ControlNetwork, ControlNetwork]> => {
    const [a, b] = await create(t, 2);
    b!.handle(ECHO, handle);
    await a!.start();
    await b!.start();
    t.teardown(() => a!.stop());
    t.teardown(() => b!.stop());
    return [a!, b!];
  };

  t.test('a request brings who asks and what, its answer comes back', async (t) => {
    const [a, b] = await pair(t, (from, body) => utf8.encode(`${textOf(body)} of ${from}`));
    t.equal(
      textOf(await a.request(b.self, ECHO, utf8.encode('a question'), OPTIONS)),
      `a question of ${a.self.peer}`,
    );
    t.match(a.counters, { requests: 1, answers: 0, refused: 0, timeouts: 0 });
    t.match(b.counters, { requests: 0, answers: 1 });
    t.ok(a.counters.bytesSent >= 10 && b.counters.bytesReceived >= 10);
  });

  t.test('both ends may ask, at once', async (t) => {
    const [a, b] = await create(t, 2);
    for (const member of [a!, b!]) member.handle(ECHO, (from) => utf8.encode(from));
    await Promise.all([a!.start(), b!.start()]);
    t.teardown(() => a!.stop());
    t.teardown(() => b!.stop());
    const answers = await Promise.all([
      a!.request(b!.self, ECHO, new Uint8Array(1), OPTIONS),
      b!.request(a!.self, ECHO, new Uint8Array(1), OPTIONS),
    ]);
    t.same(answers.map(textOf), [a!.self.peer, b!.self.peer]);
  });

  t.test('many in flight each get their own answer, in whatever order they are made', async (t) => {
    const held: (() => void)[] = [];
    const [a, b] = await pair(t, async (_, body) => {
      if (body[0]! % 3 === 0) await new Promise<void>((resolve) => held.push(resolve));
      else if (held.length > 5) for (const release of held.splice(0).reverse()) release();
      return body.slice();
    });
    const bodies = Array.from({ length: 200 }, (_, i) => pattern(1 + ((i * 997) % 40_000), i));
    const waiting = bodies.map((body) => a.request(b.self, ECHO, body, OPTIONS));
    const last = Promise.allSettled(waiting);
    let isSettled = false;
    void last.then(() => {
      isSettled = true;
    });
    while (!isSettled) {
      for (const release of held.splice(0).reverse()) release();
      await a.request(b.self, ECHO, Uint8Array.of(1), OPTIONS);
    }
    const answers = await Promise.all(waiting);
    t.ok(answers.every((answer, i) => equalBytes(answer, bodies[i]!)));
  });

  t.test(
    'bodies of no byte and of the most bytes travel; one more is refused before it is sent',
    async (t) => {
      const [a, b] = await pair(t);
      t.equal((await a.request(b.self, ECHO, new Uint8Array(0), OPTIONS)).length, 0);
      const largest = pattern(CONTROL_BYTES_MAX, 3);
      t.ok(equalBytes(await a.request(b.self, ECHO, largest, OPTIONS), largest));
      const tooLong = new Uint8Array(CONTROL_BYTES_MAX + 1);
      await t.rejects(a.request(b.self, ECHO, tooLong, OPTIONS), RangeError);
      for (const deadlineMs of [0, -1, Number.NaN, 600_001]) {
        await t.rejects(a.request(b.self, ECHO, largest, { deadlineMs }), {
          name: 'RangeError',
          message: /deadlineMs/,
        });
      }
    },
  );

  t.test(
    'the answer is the caller’s own, also when the handler gives the same bytes to everybody',
    async (t) => {
      const same = pattern(1000, 9);
      const [a, b] = await pair(t, () => same);
      const first = await a.request(b.self, ECHO, new Uint8Array(1), OPTIONS);
      first.fill(0);
      t.ok(equalBytes(await a.request(b.self, ECHO, new Uint8Array(1), OPTIONS), pattern(1000, 9)));
    },
  );

  t.test('a refusal keeps its code and message; any other failure says nothing of itself', async (t) => {
    const [a, b] = await pair(t, async (_, body) => {
      if (body.length === 1) throw new RefillError('ERR_FENCED', 'epoch 3 is over');
      if (body.length === 2) throw new Error('a secret of the handler');
      return new Uint8Array(CONTROL_BYTES_MAX + 1);
    });
    await t.rejects(a.request(b.self, ECHO, new Uint8Array(1), OPTIONS), {
      code: 'ERR_FENCED',
      message: 'epoch 3 is over',
    });
    for (const length of [2, 3]) {
      const error = await a.request(b.self, ECHO, new Uint8Array(length), OPTIONS).catch((error) => error);
      t.match(error, { name: 'RefillError', code: 'ERR_INTERNAL' });
      t.notMatch(error.message, /secret/);
    }
    await t.rejects(a.request(b.self, '/refill/nothing/1', new Uint8Array(1), OPTIONS), {
      code: 'ERR_VERSION',
    });
  });

  t.test('what is not answered by its deadline is given up, and others go on', async (t) => {
    let late: (() => void) | undefined;
    const [a, b] = await pair(t, async (_, body) => {
      if (body[0] === 1) {
        await new Promise<void>((resolve) => {
          late = resolve;
        });
      }
      return body.slice();
    });
    await t.rejects(a.request(b.self, ECHO, Uint8Array.of(1), { deadlineMs: 50 }), { code: 'ERR_DEADLINE' });
    t.equal(a.counters.timeouts, 1);
    const next = a.request(b.self, ECHO, Uint8Array.of(2), OPTIONS);
    late?.();
    t.same([...(await next)], [2]);
  });

  t.test('who is not there is unreachable, until it is there again', async (t) => {
    const [a, b] = await pair(t);
    const { self } = b;
    await a.request(self, ECHO, Uint8Array.of(1), OPTIONS);
    await b.stop();
    await t.rejects(a.request(self, ECHO, Uint8Array.of(1), OPTIONS), { code: 'ERR_PEER_UNREACHABLE' });
    await b.start();
    t.same([...(await a.request(b.self, ECHO, Uint8Array.of(4), OPTIONS))], [4]);
  });

  t.test('a stop settles what is in flight on both ends', async (t) => {
    let arrived: (() => void) | undefined;
    const [a, b] = await pair(t, (_, body) => {
      if (body[0] === 1) return new Promise<Uint8Array>(() => arrived?.());
      return body.slice();
    });
    const hang = async (): Promise<{ outcome: Promise<unknown> }> => {
      const there = new Promise<void>((resolve) => {
        arrived = resolve;
      });
      const outcome = a.request(b.self, ECHO, Uint8Array.of(1), OPTIONS).catch((error) => error);
      await there;
      return { outcome };
    };
    const { outcome } = await hang();
    await b.stop();
    t.match(await outcome, { code: 'ERR_PEER_UNREACHABLE' });
    await b.start();
    const again = await hang();
    await a.stop();
    t.match(await again.outcome, { code: 'ERR_NODE_CLOSED' });
    await t.rejects(a.request(b.self, ECHO, Uint8Array.of(2), OPTIONS), { code: 'ERR_NODE_CLOSED' });
    await a.stop();
  });

  t.test('a member may ask itself', async (t) => {
    const [, b] = await pair(t);
    const body = Uint8Array.of(1, 2, 3);
    const answer = await b.request(b.self, ECHO, body, OPTIONS);
    answer.fill(0);
    t.same([...body], [1, 2, 3]);
    const same = Uint8Array.of(5);
    t.same([...(await b.request(b.self, ECHO, same, OPTIONS))], [5]);
  });

  t.test('handlers are set once, before the start', async (t) => {
    const [a, b] = await pair(t);
    t.throws(() => b.handle('/refill/other/1', (_, body) => body), /before start/);
    await a.stop();
    a.handle(ECHO, (_, body) => body);
    t.throws(() => a.handle(ECHO, (_, body) => body), /one handler a protocol/);
  });
}
