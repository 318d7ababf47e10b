import {
  type NodeSession,
  PUT_STATUS,
  READ_ROW,
  READ_ROW_WORDS,
  REGION_ROW_WORDS,
  RESERVE_ROW,
  RESERVE_ROW_WORDS,
  RESERVE_STATUS,
  ROW_STATUS,
} from '@refill/interface';
import { LOAD_STATUS } from '@refill/store';
import t, { type Test } from 'tap';
import { settle } from '../fixtures/manual-clock.ts';
import {
  createWorld,
  keysOf,
  openSession,
  payload,
  putsOf,
  readRow,
  slotBytes,
  UNIT,
} from '../fixtures/node-world.ts';
import { seededRandom } from '../fixtures/seeded-random.ts';

const random = seededRandom(t);
const below = (end: number): number => (random() * end) | 0;
const KEYS = 40;
const STEPS = Number(process.env.REFILL_STEPS ?? 6000);
const LANE_BYTES = 8 * UNIT;
const LANES = 6;

/** One put of a key. `settled`: the put was answered. `dead`: deleted for whoever asks from now on. */
interface Version {
  version: number;
  lengthBytes: number;
  settled: boolean;
  dead: boolean;
}

interface Client {
  session: NodeSession;
  namespace: number;
  closed: boolean;
  region: number;
  memory: Uint8Array;
  /** Parts of the region in use, by lane. A lane with a late row stays out of use. */
  busy: boolean[];
  pinned: { slot: number; bytes: Uint8Array; view: Uint8Array; key: number }[];
  reserved: { slot: number; key: number; version: Version }[];
  /** Keys given to `pin`, less those that `unpin` said it unpinned. */
  kept: number;
}

/** What a history found wrong before its end, or '' after it met every check. `isBroken`: one byte of each load is wrong. */
async function runHistory(t: Test, isBroken: boolean): Promise<string> {
  const world = await createWorld({
    paneUnits: [24, 24, 10],
    reserveWaitMs: 40,
    loadDeadlineMs: 60,
    seed: below(2 ** 30),
  });
  world.shared.isBroken = isBroken;
  const versions = Array.from({ length: KEYS }, (): Version[] => []);
  const pending = new Set<Promise<void>>();
  const clients: Client[] = [];
  const seen = {
    hits: 0,
    regionHits: 0,
    shared: 0,
    misses: 0,
    late: 0,
    noRoom: 0,
    deleted: 0,
    tooLong: 0,
    looks: 0,
  };
  let nextVersion = 0;
  let wrong = '';

  const run = (work: Promise<void>): void => {
    const all = work.catch((error) => {
      if (!['ERR_NODE_CLOSED', 'ERR_DEADLINE'].includes(error.code)) wrong ||= `${error.stack}`;
    });
    pending.add(all);
    void all.then(() => pending.delete(all));
  };
  /** The versions that a read which starts now may answer. */
  const allowed = (key: number): Version[] => versions[key]!.filter((version) => !version.dead);
  const check = (what: string, key: number, bytes: Uint8Array, may: readonly Version[]): void => {
    const isOne = may.some(
      (v) => v.lengthBytes === bytes.length && same(bytes, payload(key, v.lengthBytes, v.version)),
    );
    if (!isOne) wrong ||= `${what} of key ${key} answered ${bytes.length} bytes that nobody may read`;
  };
  const newVersion = (): Version => ({
    version: nextVersion++,
    lengthBytes: random() < 0.7 ? 1 + below(2 * UNIT) : 1 + below(7 * UNIT),
    settled: false,
    dead: false,
  });
  const open = async (): Promise<void> => {
    const { session, namespace } = await openSession(world);
    const memory = new Uint8Array(LANES * LANE_BYTES);
    world.io.files.set(`r${nextVersion++}`, memory);
    const region = await session.registerRegion({ path: [...world.io.files.keys()].pop()! }, memory.length);
    clients.push({
      session,
      namespace,
      closed: false,
      region,
      memory,
      busy: [],
      pinned: [],
      reserved: [],
      kept: 0,
    });
  };
  const lanesFor = (client: Client, count: number): number[] => {
    const lanes = Array.from({ length: LANES }, (_, lane) => lane).filter((lane) => !client.busy[lane]);
    return lanes.slice(0, count);
  };

  const reserve = async (client: Client): Promise<void> => {
    const [key, version] = [below(KEYS), newVersion()];
    const rows = new Uint32Array(RESERVE_ROW_WORDS);
    await client.session.reserve(
      client.namespace,
      putsOf({ key, lengthBytes: version.lengthBytes }),
      1,
      rows,
    );
    if (rows[RESERVE_ROW.status] === RESERVE_STATUS.noRoom) seen.noRoom++;
    if (rows[RESERVE_ROW.status] !== RESERVE_STATUS.reserved || client.closed) return;
    slotBytes(world, rows[RESERVE_ROW.pane]!, rows[RESERVE_ROW.offsetBytes]!, version.lengthBytes).set(
      payload(key, version.lengthBytes, version.version),
    );
    client.reserved.push({ slot: rows[RESERVE_ROW.slot]!, key, version });
  };
  const commit = async (client: Client): Promise<void> => {
    const [put] = client.reserved.splice(below(client.reserved.length), 1);
    if (put === undefined) return;
    if (random() < 0.1) return client.session.abort(Uint32Array.of(put.slot), 1);
    versions[put.key]!.push(put.version);
    const durability = random() < 0.5 ? 'memory' : 'shared';
    await client.session.commit(Uint32Array.of(put.slot), 1, durability, 1 + below(50), new Uint32Array(1));
    put.version.settled = true;
  };
  const putFrom = async (client: Client): Promise<void> => {
    const lanes = lanesFor(client, 1 + below(2));
    if (lanes.length === 0) return;
    const puts = lanes.map(() => ({ key: below(KEYS), version: newVersion() }));
    const places = new Uint32Array(lanes.length * REGION_ROW_WORDS);
    for (const [i, lane] of lanes.entries()) {
      const { key, version } = puts[i]!;
      const offset = lane * LANE_BYTES + (random() < 0.5 ? 0 : 100);
      client.busy[lane] = true;
      places.set([offset, 0, random() < 0.5 ? version.lengthBytes : 7 * UNIT], i * REGION_ROW_WORDS);
      client.memory.set(payload(key, version.lengthBytes, version.version), offset);
      versions[key]!.push(version);
    }
    const rows = putsOf(...puts.map(({ key, version }) => ({ key, lengthBytes: version.lengthBytes })));
    const statuses = new Uint32Array(lanes.length);
    const durability = random() < 0.5 ? 'memory' : 'shared';
    try {
      await client.session.putFrom(
        client.namespace,
        client.region,
        rows,
        places,
        lanes.length,
        durability,
        1 + below(50),
        statuses,
      );
    } finally {
      for (const [i, lane] of lanes.entries()) {
        puts[i]!.version.settled = true;
        if (statuses[i] === PUT_STATUS.stored || statuses[i] === PUT_STATUS.exists) client.busy[lane] = false;
      }
    }
  };
  const get = async (client: Client): Promise<void> => {
    const numbers = Array.from({ length: 1 + below(5) }, () => below(KEYS));
    const may = numbers.map(allowed);
    const rows = new Uint32Array(numbers.length * READ_ROW_WORDS);
    const answer = client.session.get(client.namespace, keysOf(...numbers), numbers.length, below(80), rows);
    if (answer !== undefined) await answer;
    for (const [i, key] of numbers.entries()) {
      const { status, slot, bytes: view } = readRow(world, rows, i);
      if (status === ROW_STATUS.late) seen.late++;
      if (status !== ROW_STATUS.hit) {
        seen.misses++;
        continue;
      }
      seen.hits++;
      if (answer !== undefined) seen.shared++;
      // Versions put since the start of the read are fine too.
      check('get', key, view, [...may[i]!, ...allowed(key)]);
      // Closed while the answer was on its way: the pins are gone with the session.
      if (!client.closed) client.pinned.push({ slot, key, view, bytes: view.slice() });
    }
  };
  const getInto = async (client: Client): Promise<void> => {
    const lanes = lanesFor(client, 1 + below(4));
    if (lanes.length === 0) return;
    const numbers = lanes.map(() => below(KEYS));
    const may = numbers.map(allowed);
    const places = new Uint32Array(lanes.length * REGION_ROW_WORDS);
    for (const [i, lane] of lanes.entries()) {
      client.busy[lane] = true;
      const offset = lane * LANE_BYTES + (random() < 0.5 ? 0 : 1);
      places.set([offset, 0, random() < 0.2 ? UNIT : 7 * UNIT], i * REGION_ROW_WORDS);
    }
    const rows = new Uint32Array(lanes.length * READ_ROW_WORDS);
    await client.session.getInto(
      client.namespace,
      client.region,
      keysOf(...numbers),
      places,
      lanes.length,
      below(80),
      rows,
    );
    for (const [i, lane] of lanes.entries()) {
      const status = rows[i * READ_ROW_WORDS + READ_ROW.status]!;
      if (status === ROW_STATUS.tooLong) seen.tooLong++;
      if (status === ROW_STATUS.hit) {
        seen.regionHits++;
        const offset = places[i * REGION_ROW_WORDS]!;
        const lengthBytes = rows[i * READ_ROW_WORDS + READ_ROW.lengthBytes]!;
        check('getInto', numbers[i]!, client.memory.subarray(offset, offset + lengthBytes), [
          ...may[i]!,
          ...allowed(numbers[i]!),
        ]);
      }
      if (status !== ROW_STATUS.late) client.busy[lane] = false;
    }
  };
  const remove = async (client: Client): Promise<void> => {
    const numbers = Array.from({ length: 1 + below(3) }, () => below(KEYS));
    const before = numbers.flatMap((key) => versions[key]!.filter((version) => version.settled));
    seen.deleted += await client.session.delete(client.namespace, keysOf(...numbers), numbers.length, 1000);
    for (const version of before) version.dead = true;
  };
  const release = (client: Client): void => {
    const [pin] = client.pinned.splice(below(client.pinned.length), 1);
    if (pin === undefined) return;
    if (!same(pin.view, pin.bytes)) wrong ||= `pinned bytes of key ${pin.key} changed`;
    client.session.release(Uint32Array.of(pin.slot), 1);
  };
  const counted = (what: string, answer: number | Promise<number>): void => {
    const checked = (count: number): void => {
      if (!Number.isInteger(count) || count < 0 || count > 3) wrong ||= `${what} of 3 keys answered ${count}`;
    };
    run(Promise.resolve(answer).then(checked));
  };
  /** What is present was put and not deleted; what a prefix counts is present too, when nothing happens in between. */
  const look = (client: Client): void => {
    const numbers = Array.from({ length: 3 }, () => below(KEYS));
    const present = new Uint8Array(3);
    const { session, namespace } = client;
    if (session.exists(namespace, keysOf(...numbers), 3, present) !== undefined) return;
    for (const [i, key] of numbers.entries()) {
      if (present[i] === 1 && allowed(key).length === 0) wrong ||= `key ${key} exists and was deleted`;
    }
    const prefix = session.matchPrefix(namespace, keysOf(...numbers), 3);
    const leading = present.indexOf(0) < 0 ? 3 : present.indexOf(0);
    if (typeof prefix === 'number' && prefix !== leading) wrong ||= `prefix ${prefix} of [${present}]`;
    seen.looks++;
  };
  const small = (client: Client): void => {
    const keys = keysOf(below(KEYS), below(KEYS), below(KEYS));
    const { session, namespace } = client;
    const choice = below(6);
    if (choice === 0) session.touch(namespace, keys, 3);
    else if (choice === 1) counted('prefetch', session.prefetch(namespace, keys, 3));
    else if (choice === 2) {
      client.kept += 3;
      counted('pin', session.pin(namespace, keys, 3, below(60)));
    } else if (choice === 3) {
      const count = session.unpin(namespace, keys, 3);
      client.kept -= count;
      if (count > 3 || client.kept < 0) wrong ||= 'more was unpinned than was pinned';
    } else if (choice === 4) look(client);
    else run(session.flush(1 + below(100)).then(() => {}));
  };
  const close = (client: Client): void => {
    for (const pin of client.pinned) if (!same(pin.view, pin.bytes)) wrong ||= 'pinned bytes changed';
    client.closed = true;
    client.pinned = [];
    client.reserved = [];
    client.session.close();
    clients.splice(clients.indexOf(client), 1);
  };
  const weather = async (): Promise<void> => {
    const { shared, io } = world;
    shared.holdLoads = random() < 0.4;
    shared.holdStores = random() < 0.4;
    shared.holdLookups = random() < 0.2;
    io.holdCopies = random() < 0.3;
    io.lateCopies = random() < 0.1;
    const bad = [LOAD_STATUS.late, LOAD_STATUS.corrupt, LOAD_STATUS.failed];
    shared.outcomeOfLoad = () => (random() < 0.9 ? LOAD_STATUS.done : bad[below(bad.length)]!);
    shared.outcomeOfStore = () => (random() < 0.9 ? PUT_STATUS.stored : PUT_STATUS.failed);
    if (random() < 0.5) shared.letGo();
    if (random() < 0.5) io.letCopiesGo();
    if (random() < 0.2) io.letLateGo();
    if (random() < 0.2) shared.letLateGo();
    if (random() < 0.3) await world.clock.advance(below(30));
  };

  for (let step = 0; step < STEPS && wrong === ''; step++) {
    if (clients.length === 0 || (clients.length < 4 && random() < 0.02)) await open();
    const client = clients[below(clients.length)]!;
    const dice = random();
    if (dice < 0.2) run(reserve(client));
    else if (dice < 0.35) run(commit(client));
    else if (dice < 0.42) run(putFrom(client));
    else if (dice < 0.6) run(get(client));
    else if (dice < 0.7) run(getInto(client));
    else if (dice < 0.85) release(client);
    else if (dice < 0.88) run(remove(client));
    else if (dice < 0.94) small(client);
    else if (dice < 0.945) close(client);
    if (random() < 0.3) await weather();
    if (random() < 0.3) await settle();
    if (step % 100 === 0) world.arena.allocator.check();
  }
  if (isBroken) return wrong;
  t.equal(wrong, '', 'every answer was right at every step');

  // Calm: everything that is under way ends well.
  Object.assign(world.shared, { holdLoads: false, holdStores: false, holdLookups: false });
  world.shared.outcomeOfLoad = () => LOAD_STATUS.done;
  world.shared.outcomeOfStore = () => PUT_STATUS.stored;
  Object.assign(world.io, { holdCopies: false, lateCopies: false });
  for (let turn = 0; turn < 50 || pending.size > 0; turn++) {
    world.shared.letGo();
    world.io.letCopiesGo();
    world.io.letLateGo();
    world.shared.letLateGo();
    await world.clock.advance(50);
    if (turn > 500) throw new Error(`${pending.size} calls never settled`);
  }
  t.equal(wrong, '', 'every answer was right to the end');
  for (const client of [...clients]) close(client);
  await world.clock.advance(1000);
  const { arena } = world.node.status();
  t.equal(arena.pinnedBytes, 0, 'no pin is left');
  t.equal(arena.quarantinedBytes, 0, 'no slot is in quarantine');
  t.equal(world.io.regions.size, 0, 'no region is attached');
  t.equal(world.node.status().writes.backlogBytes, 0, 'nothing waits to be stored');

  const { session, namespace } = await openSession(world);
  let present = 0;
  for (let key = 0; key < KEYS; key++) {
    const rows = new Uint32Array(READ_ROW_WORDS);
    const isShared = world.shared.matchPrefix(namespace, keysOf(key), 1) === 1;
    await session.get(namespace, keysOf(key), 1, 100, rows);
    const row = readRow(world, rows);
    if (isShared && row.status !== ROW_STATUS.hit)
      throw new Error(`key ${key} is stored and reads ${row.status}`);
    if (row.status !== ROW_STATUS.hit) continue;
    check('the last get', key, row.bytes, allowed(key));
    session.release(Uint32Array.of(row.slot), 1);
    present++;
  }
  t.equal(wrong, '', 'what is left is what was put and not deleted');
  const all = keysOf(...Array.from({ length: KEYS }, (_, key) => key));
  t.equal(await session.delete(namespace, all, KEYS, 1000), present);
  session.close();
  t.equal(world.node.status().arena.blocks, 0);
  t.equal(world.node.status().arena.usedBytes, 0, 'every slot came back');
  world.arena.allocator.check();
  await world.node.stop();
  t.comment(JSON.stringify({ ...seen, evictions: world.node.status().arena.evictions }));
  for (const [what, count] of Object.entries(seen)) t.ok(count > 0, `the history had ${what}`);
  return wrong;
}

t.test('any history of any sessions reads what was put or misses, and leaves nothing behind', async (t) => {
  await runHistory(t, false);
});

t.test('the model is no decoration: a tier that returns one wrong byte is found out', async (t) => {
  t.match(await runHistory(t, true), /that nobody may read/);
});

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
