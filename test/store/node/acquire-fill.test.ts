import {
  type Cluster,
  FILL_ROW_WORDS,
  FILL_STATUS,
  type NodeSession,
  PUT_STATUS,
  RefillError,
} from '@refill/interface';
import t from 'tap';
import { settle } from '../../fixtures/manual-clock.ts';
import {
  createWorld,
  keysOf,
  openSession,
  payload,
  put,
  UNIT,
  type World,
} from '../../fixtures/node-world.ts';

const { granted, held, present } = FILL_STATUS;

async function acquire(
  session: NodeSession,
  namespace: number,
  numbers: number[],
  lifeMs = 1000,
): Promise<{ fill: number; statuses: number[]; remainingMs: number[] }> {
  const rows = new Uint32Array(numbers.length * FILL_ROW_WORDS);
  const fill = await session.acquireFill(namespace, keysOf(...numbers), numbers.length, lifeMs, 500, rows);
  const column = (word: number): number[] => numbers.map((_, i) => rows[i * FILL_ROW_WORDS + word]!);
  return { fill, statuses: column(0), remainingMs: column(1) };
}

/** Awaits fills; the answer when there is one. */
function waitFor(session: NodeSession, namespace: number, numbers: number[], deadlineMs = 5000) {
  const wait = { count: -1, error: undefined as RefillError | undefined };
  session.awaitFill(namespace, keysOf(...numbers), numbers.length, deadlineMs).then(
    (count) => {
      wait.count = count;
    },
    (error) => {
      wait.error = error;
    },
  );
  return wait;
}

/** A cluster of which a test says what it answers. */
class ClusterDouble {
  readonly lease = { node: 'a', epoch: 1, isHeld: true, onEpoch: undefined };
  readonly members = [];
  statuses: number[] = [];
  error: Error | undefined;
  readonly asked: number[] = [];
  readonly released: number[] = [];
  readonly resident: boolean[] = [];
  wake: (present: number) => void = () => {};
  hold: Promise<void> | undefined;

  noteResident(_namespace: number, _keys: Uint32Array, _at: number, isResident: boolean): void {
    this.resident.push(isResident);
  }

  async acquireFills(
    _namespace: number,
    _keys: Uint32Array,
    count: number,
    _holder: number,
    lifeMs: number,
    rows: Uint32Array,
  ): Promise<void> {
    this.asked.push(count);
    await this.hold;
    if (this.error !== undefined) throw this.error;
    for (let i = 0; i < count; i++) rows.set([this.statuses[i] ?? granted, lifeMs], i * FILL_ROW_WORDS);
  }

  awaitFills(): Promise<number> {
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }

  releaseFills(holder: number): void {
    this.released.push(holder);
  }
}

async function clusterWorld(): Promise<World & { cluster: ClusterDouble }> {
  const cluster = new ClusterDouble();
  return { ...(await createWorld({ cluster: cluster as unknown as Cluster })), cluster };
}

t.test(
  'of two calls one is granted a missing block, also in one session; what is there is told',
  async (t) => {
    const world = await createWorld();
    const { session, namespace } = await openSession(world);
    const other = await openSession(world);
    await put(world, session, namespace, 1, payload(1, UNIT));
    const first = await acquire(session, namespace, [1, 2, 3]);
    t.same(first.statuses, [present, granted, granted]);
    t.same(first.remainingMs, [0, 1000, 1000]);
    await world.clock.advance(400);
    t.same((await acquire(session, namespace, [2, 4])).statuses, [held, granted]);
    const third = await acquire(other.session, namespace, [3, 4, 5]);
    t.same(third.statuses, [held, held, granted]);
    t.same(third.remainingMs, [600, 1000, 1000]);
    await world.clock.advance(600);
    t.same((await acquire(other.session, namespace, [2])).statuses, [granted], 'its life was over');
  },
);

t.test('a put by anybody ends the lease and wakes at once', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  const other = await openSession(world);
  await acquire(session, namespace, [1, 2]);
  const wait = waitFor(other.session, namespace, [1, 2, 3]);
  await put(world, session, namespace, 1, payload(1, UNIT));
  await settle();
  t.equal(wait.count, -1, 'one is still computed');
  t.equal(
    await put(world, other.session, namespace, 2, payload(2, UNIT)),
    PUT_STATUS.stored,
    'a lease excludes no put',
  );
  await settle();
  t.equal(wait.count, 2);
});

t.test('a lease ends with its session, which tells who waits', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  const other = await openSession(world);
  await acquire(session, namespace, [1]);
  const wait = waitFor(other.session, namespace, [1]);
  await settle();
  session.close();
  await settle();
  t.equal(wait.count, 0);
  t.same((await acquire(other.session, namespace, [1])).statuses, [granted]);
  await t.rejects(acquire(session, namespace, [1]), { code: 'ERR_NODE_CLOSED' });
});

t.test('a lease is released by its handle only in its own session', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  const other = await openSession(world);
  const { fill } = await acquire(session, namespace, [1]);
  other.session.releaseFill(fill);
  t.same((await acquire(other.session, namespace, [1])).statuses, [held]);
  session.releaseFill(fill);
  session.releaseFill(fill);
  session.releaseFill(12_345);
  t.same((await acquire(other.session, namespace, [1])).statuses, [granted]);
});

t.test(
  'who waits is answered at the deadline, at the end of a life, and refused with its session',
  async (t) => {
    const world = await createWorld();
    const { session, namespace } = await openSession(world);
    const other = await openSession(world);
    await acquire(session, namespace, [1], 300);
    const early = waitFor(other.session, namespace, [1], 200);
    const late = waitFor(other.session, namespace, [1], 900);
    await world.clock.advance(200);
    t.same([early.count, late.count], [0, -1]);
    await world.clock.advance(100);
    t.equal(late.count, 0);
    await acquire(session, namespace, [2]);
    const closed = waitFor(other.session, namespace, [2]);
    await settle();
    other.session.close();
    await settle();
    t.equal(closed.error?.code, 'ERR_NODE_CLOSED');
    t.equal(await session.awaitFill(namespace, keysOf(9), 1, 1000), 0, 'nobody computes it: no wait');
  },
);

t.test('arguments out of bounds are refused', async (t) => {
  const world = await createWorld();
  const { session, namespace } = await openSession(world);
  await t.rejects(acquire(session, namespace, [1], 120_001), {
    code: 'ERR_INVALID_ARGUMENT',
    message: /lifeMs/,
  });
  await t.rejects(acquire(session, namespace + 1, [1]), { code: 'ERR_NAMESPACE_UNKNOWN' });
  await t.rejects(session.acquireFill(namespace, keysOf(1), 1, 0, 10, new Uint32Array(1)), {
    code: 'ERR_INVALID_ARGUMENT',
  });
  await t.rejects(session.awaitFill(namespace, keysOf(1), 2, 10), { code: 'ERR_INVALID_ARGUMENT' });
  await t.rejects(session.awaitFill(namespace, keysOf(1), 1, 600_001), { code: 'ERR_INVALID_ARGUMENT' });
});

t.test('in a cluster it is asked only for what this node does not know', async (t) => {
  const world = await clusterWorld();
  const { cluster } = world;
  const { session, namespace } = await openSession(world);
  await put(world, session, namespace, 1, payload(1, UNIT));
  cluster.statuses = [held, granted, present];
  const { statuses, fill } = await acquire(session, namespace, [1, 2, 3, 4]);
  t.same(statuses, [present, held, granted, present]);
  const again = await acquire(session, namespace, [3]);
  t.same(again.statuses, [held]);
  t.same(cluster.asked, [3], 'what a neighbour computes is no question');
  session.releaseFill(fill);
  t.same(cluster.released, [fill]);
});

t.test('when the cluster does not answer nothing is taken', async (t) => {
  const world = await clusterWorld();
  const { cluster } = world;
  const { session, namespace } = await openSession(world);
  cluster.error = new RefillError('ERR_METADATA_UNAVAILABLE', 'away');
  await t.rejects(acquire(session, namespace, [1]), { code: 'ERR_METADATA_UNAVAILABLE' });
  t.equal(cluster.released.length, 1, 'the request may have been carried out');
  cluster.error = undefined;
  t.same((await acquire(session, namespace, [1])).statuses, [granted]);
});

t.test('a lease that the cluster grants after its session ended is given back', async (t) => {
  const world = await clusterWorld();
  const { cluster } = world;
  const { session, namespace } = await openSession(world);
  const other = await openSession(world);
  let go = (): void => {};
  cluster.hold = new Promise((resolve) => {
    go = resolve;
  });
  const acquired = acquire(session, namespace, [1]);
  acquired.catch(() => undefined);
  await settle();
  session.close();
  const before = cluster.released.length;
  go();
  await t.rejects(acquired, { code: 'ERR_NODE_CLOSED' });
  t.ok(cluster.released.length > before);
  cluster.hold = undefined;
  t.same((await acquire(other.session, namespace, [1])).statuses, [granted]);
});

t.test('who waits for another node is woken by it, and by a put on this node before it hears', async (t) => {
  const world = await clusterWorld();
  const { cluster } = world;
  const { session, namespace } = await openSession(world);
  const remote = waitFor(session, namespace, [1]);
  await settle();
  t.equal(remote.count, -1);
  cluster.wake(0);
  await settle();
  t.equal(remote.count, 0);
  const local = waitFor(session, namespace, [2]);
  await settle();
  await put(world, session, namespace, 2, payload(2, UNIT));
  await settle();
  t.equal(local.count, 1, 'the cluster has not answered');
  t.same(cluster.resident, [true]);
});
