import { findUnknownSegments, rebuildDirectory, recoverSegments } from '@refill/store';
import t, { type Test } from 'tap';
import { decodeSegmentHeader } from '../../packages/store/src/segment/segment-header.ts';
import { BlockModel, runHistory } from '../fixtures/block-model.ts';
import { CrashingEngine } from '../fixtures/crashing-engine.ts';
import { DirectoryWorld } from '../fixtures/directory-world.ts';
import { mulberry, seededRandom } from '../fixtures/seeded-random.ts';
import { TierWorld } from '../fixtures/tier-world.ts';

t.setTimeout(240_000);

const HISTORIES = Number(process.env.REFILL_REPAIR_HISTORIES ?? 3);
const PAYLOAD_BYTES = 2 ** 21;

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** A root whose node can die at the n-th change of segments, database or small files, and come back again and again. */
class Root {
  readonly engine = new CrashingEngine();
  readonly model = new BlockModel();
  readonly random: () => number;
  world: TierWorld;
  /** Changes until the node dies. */
  #left = Number.POSITIVE_INFINITY;
  #die: () => void = () => {};
  /** As the composition root keeps it in the node's state: a rebuild has begun and not ended. */
  rebuilding = false;
  crashes = 0;

  constructor(seed: number) {
    this.random = mulberry(seed);
    this.world = this.#world(new DirectoryWorld(this.engine));
  }

  #world(world: DirectoryWorld): TierWorld {
    const disk = this.world?.disk;
    return new TierWorld({ disk, world, random: this.random, payloadBytes: PAYLOAD_BYTES });
  }

  /** Runs `work` up to its `changes`-th change; false when the node died of it. */
  async until(changes: number, work: () => Promise<void>): Promise<boolean> {
    this.#left = changes;
    const died = new Promise<boolean>((resolve) => {
      this.#die = () => resolve(true);
    });
    const dead = await Promise.race([work().then(() => false), died]);
    if (!dead) {
      this.#left = Number.POSITIVE_INFINITY;
      return true;
    }
    await turns(5);
    this.crashes++;
    this.#left = Number.POSITIVE_INFINITY;
    this.world.disk.crash(this.random);
    this.engine.inner.crash(Math.floor(this.random() * (this.engine.inner.unsynced + 1)));
    const before = this.world.world;
    this.world = this.#world(new DirectoryWorld(this.engine));
    for (const [path, bytes] of before.files.content) this.world.world.files.content.set(path, bytes);
    this.world.world.wallMs = before.wallMs;
    return false;
  }

  /** A change happens now: true when the node dies of it. */
  #dies(): boolean {
    if (--this.#left !== 0) return false;
    this.#die();
    return true;
  }

  async start(): Promise<void> {
    const { world, engine } = this;
    const mine = (): boolean => this.world === world;
    engine.onCall = async () => {
      if (!mine() || this.#dies()) await new Promise(() => {});
      if (this.random() < 0.1) engine.inner.rollLog();
    };
    await world.boot({
      fault: (op) => {
        if (!['write', 'sync', 'create', 'unlink'].includes(op.kind)) return undefined;
        return this.#dies() ? { crash: this.random() < 0.5 ? 'before' : 'after' } : undefined;
      },
    });
    const { io, directory, scratch, clock } = world;
    const parts = { io, directory, scratch, clock };
    if (this.rebuilding || (await findUnknownSegments(parts)).length > 0) {
      this.rebuilding = true;
      await rebuildDirectory(parts);
      this.rebuilding = false;
      world.epoch = await directory.acquireEpoch('node-a');
    }
    await recoverSegments(parts, { node: 'node-a', epoch: world.epoch });
    await world.open({ batchBytes: 60_000, patienceMs: 1 });
    await world.tier.reclaim();
  }

  /** Faults of what is there now, after going on to work for a while. */
  async faults(): Promise<string[]> {
    const { world, model } = this;
    const faults = await model.check(world);
    await model.put(world, [5000, 5001], () => 5000, false);
    faults.push(...(await model.check(world)));
    await world.close();
    if (world.io.openHandles !== 0) faults.push('a file is still open');
    if (world.scratch.taken !== 0) faults.push('scratch memory is not given back');
    if (world.directory.segments().some(({ state }) => state === 'open')) faults.push('a segment is open');
    const known = world.directory.segments().map(({ id }) => Buffer.from(id).toString('hex'));
    for (const [path, file] of world.disk.files) {
      // One that never got its header page is left alone by a rebuild: nothing says whose it is.
      if (decodeSegmentHeader(file.read(0)) === undefined) continue;
      if (!known.some((id) => path.includes(id))) faults.push(`${path} belongs to nobody`);
    }
    return faults;
  }
}

/** Seeds that found something: a file without a header page, which a rebuild leaves alone. */
const FOUND: readonly number[] = [1635621655];

/** A history up to the crash of its node, the same for a seed. */
async function crashed(seed: number, lose: boolean): Promise<Root> {
  const root = new Root(seed);
  await root.start();
  const random = mulberry(seed + 1);
  const changes = 25 + Math.floor(random() * 60);
  await root.until(changes, async () => {
    await runHistory(root.world, root.model, random, 20);
    // Sealed segments and removed blocks: something to reclaim.
    await root.world.tier.seal();
    await root.world.tier.reclaim();
    await new Promise(() => {});
  });
  if (lose) await root.engine.restore([]);
  return root;
}

async function attack(t: Test, lose: boolean, again: boolean): Promise<void> {
  const random = seededRandom(t);
  let crashes = 0;
  for (let history = 0; history < HISTORIES; history++) {
    const seed = FOUND[history] ?? Math.floor(random() * 2 ** 31);
    for (let changes = 1; ; changes++) {
      const root = await crashed(seed, lose);
      const whole = await root.until(changes, () => root.start());
      if (!whole) {
        // It dies once more, somewhere in the second try.
        if (again) await root.until(1 + Math.floor(root.random() * 6), () => root.start());
        await root.until(Number.POSITIVE_INFINITY, () => root.start());
      }
      const faults = await root.faults();
      if (faults.length > 0) {
        t.fail(`history ${seed}, change ${changes}`, { faults });
        return;
      }
      crashes += root.crashes - 1;
      if (whole) break;
    }
  }
  t.comment(`${crashes} crashes`);
  t.ok(crashes >= HISTORIES * 3, `${crashes} crashes`);
}

t.test('recovery and reclaiming, dying at every change', (t) => attack(t, false, false));
t.test('recovery and reclaiming, dying at every change and again', (t) => attack(t, false, true));
t.test('a rebuild, dying at every change', (t) => attack(t, true, false));
t.test('a rebuild, dying at every change and again', (t) => attack(t, true, true));

t.test('a rebuild that dies again and again ends as soon as it is let', async (t) => {
  const random = seededRandom(t);
  const root = await crashed(Math.floor(random() * 2 ** 31), true);
  let tries = 0;
  while (!(await root.until(5 + 5 * tries, () => root.start()))) {
    if (++tries > 100) return t.fail('it never comes to its end');
  }
  t.same(await root.faults(), []);
  t.comment(`${tries} tries`);
});

t.test('a database that is set back to an earlier state loses and revives nothing', async (t) => {
  const random = seededRandom(t);
  let unknown = 0;
  for (let round = 0; round < 8 * HISTORIES; round++) {
    const seed = Math.floor(random() * 2 ** 31);
    const root = new Root(seed);
    await root.start();
    const snapshots = [await root.engine.snapshot()];
    for (let phase = 0; phase < 4; phase++) {
      await runHistory(root.world, root.model, root.random, 6);
      if (root.random() < 0.6) {
        // Whole segments lose all their blocks, so that some are unlinked.
        for (const n of root.model.keys.keys())
          if (root.random() < 0.5) await root.model.remove(root.world, n);
        await root.world.tier.seal();
        await root.world.tier.reclaim();
      }
      if (root.random() < 0.4) {
        await root.world.close();
        await root.until(Number.POSITIVE_INFINITY, () => root.start());
      }
      snapshots.push(await root.engine.snapshot());
    }
    await root.until(1, async () => {
      await root.model.put(root.world, [7000], () => 4000, false);
    });
    await root.engine.restore(snapshots[Math.floor(root.random() * snapshots.length)]!);
    if (root.random() < 0.3) root.world.world.files.content.clear();
    await root.until(Number.POSITIVE_INFINITY, () => root.start());
    if (root.world.directory.segments().length > 0) unknown++;
    const faults = await root.faults();
    if (faults.length > 0) return t.fail(`round ${round} of seed ${seed}`, { faults });
  }
  t.ok(unknown > 0);
});
