import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@refill/client';
import {
  type DrainStatus,
  ERROR_CODES,
  ERROR_FRAME,
  FRAME,
  FRAME_FLAG,
  FrameReader,
  PUT_STATUS,
  READ_ROW,
  RESERVE_ROW,
  RESERVE_ROW_WORDS,
  RESERVE_STATUS,
  ROW_STATUS,
  readError,
} from '@refill/interface';
import { type NodeServer, serveNode } from '@refill/store';
import t from 'tap';
import { AskingClient } from '../../fixtures/asking-client.ts';
import { garbageStream, type Lies } from '../../fixtures/garbage.ts';
import {
  createWorld,
  keysOf,
  payload,
  putsOf,
  slotBytes,
  UNIT,
  type World,
} from '../../fixtures/node-world.ts';
import { seededRandom } from '../../fixtures/seeded-random.ts';
import { silent, until } from '../../fixtures/served-double.ts';

const FRAMES = Number(process.env.REFILL_FUZZ_FRAMES ?? 100_000);
const ARENA_UNITS = 64;
const LIES: Lies = { regionPath: 'r', regionBytes: 16 * UNIT, blockBytes: UNIT - 7 };
const bytesOf = (words: Uint32Array): Uint8Array =>
  new Uint8Array(words.buffer, words.byteOffset, words.byteLength);

/** Sends a stream, reads what comes back, hangs up; answers the codes of the errors that came. */
async function speak(socketPath: string, stream: Uint8Array, politely: boolean): Promise<Set<string>> {
  const codes = new Set<string>();
  const socket = connect(socketPath);
  const reader = new FrameReader((frame) => {
    if (frame.type === ERROR_FRAME) {
      const { code, message } = readError(frame);
      codes.add(code === 'ERR_INTERNAL' ? `${code}: ${message}` : code);
    }
  });
  socket.on('data', (chunk: Buffer) => reader.push(chunk));
  socket.on('error', () => undefined);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(stream, () => (politely ? socket.end() : socket.destroy()));
  await closed;
  return codes;
}

/** Puts blocks and reads them again and again, in a namespace of its own; counts what it got. */
class GoodClient {
  readonly counts = { puts: 0, hits: 0, misses: 0 };
  readonly wrong: string[] = [];
  readonly #world: World;
  readonly #client: AskingClient;
  readonly #namespace: number;
  readonly #stored: number[] = [];

  private constructor(world: World, client: AskingClient, namespace: number) {
    this.#world = world;
    this.#client = client;
    this.#namespace = namespace;
  }

  static async connect(world: World, socketPath: string): Promise<GoodClient> {
    const client = await AskingClient.connect(socketPath);
    const fingerprint = { name: 'good', model: 'm', dtype: 'd', layout: 'l', tokensPerBlock: 16 };
    const body = new TextEncoder().encode(JSON.stringify({ fingerprint }));
    const { namespace } = await client.ask({ type: FRAME.namespace, count: body.length, body });
    return new GoodClient(world, client, namespace);
  }

  async put(key: number): Promise<void> {
    const bytes = payload(key, UNIT - (key % 100));
    const body = bytesOf(putsOf({ key, lengthBytes: bytes.length }));
    const reserved = await this.#client.ask({
      type: FRAME.reserve,
      namespace: this.#namespace,
      count: 1,
      body,
    });
    if (reserved.body[RESERVE_ROW.status] !== RESERVE_STATUS.reserved) return;
    const [slot, pane, offset] = [RESERVE_ROW.slot, RESERVE_ROW.pane, RESERVE_ROW.offsetBytes].map(
      (word) => reserved.body[word]!,
    ) as [number, number, number];
    slotBytes(this.#world, pane, offset, bytes.length).set(bytes);
    await new Promise(setImmediate);
    const committed = await this.#client.ask({
      type: FRAME.commit,
      flags: FRAME_FLAG.shared,
      count: 1,
      body: bytesOf(Uint32Array.of(slot)),
    });
    if (committed.error) this.wrong.push(`commit of ${key}: ${committed.error.message}`);
    if (committed.body[0] !== PUT_STATUS.stored) return;
    this.counts.puts++;
    this.#stored.push(key);
  }

  async readAll(): Promise<void> {
    for (const key of this.#stored) {
      const row = await this.#client.ask({
        type: FRAME.get,
        namespace: this.#namespace,
        count: 1,
        body: bytesOf(keysOf(key)),
      });
      if (row.error) this.wrong.push(`get of ${key}: ${row.error.message}`);
      else if (row.body[READ_ROW.status] !== ROW_STATUS.hit) this.counts.misses++;
      else {
        const length = row.body[READ_ROW.lengthBytes]!;
        const bytes = slotBytes(
          this.#world,
          row.body[READ_ROW.pane]!,
          row.body[READ_ROW.offsetBytes]!,
          length,
        );
        if (Buffer.compare(bytes, payload(key, UNIT - (key % 100))) !== 0) this.wrong.push(`bytes of ${key}`);
        this.counts.hits++;
        this.#client.say({
          type: FRAME.release,
          count: 1,
          body: bytesOf(Uint32Array.of(row.body[READ_ROW.slot]!)),
        });
      }
    }
  }

  /** Whether every slot of the arena can be had, which no slot that is pinned or reserved would allow. */
  async takesWholeArena(): Promise<boolean> {
    const puts = Array.from({ length: ARENA_UNITS }, (_, i) => ({ key: 100_000 + i, lengthBytes: UNIT }));
    const { body, error } = await this.#client.ask({
      type: FRAME.reserve,
      namespace: this.#namespace,
      count: ARENA_UNITS,
      body: bytesOf(putsOf(...puts)),
    });
    if (error) throw error;
    const slots: number[] = [];
    for (let i = 0; i < ARENA_UNITS; i++) {
      const row = i * RESERVE_ROW_WORDS;
      if (body[row + RESERVE_ROW.status] === RESERVE_STATUS.reserved)
        slots.push(body[row + RESERVE_ROW.slot]!);
    }
    this.#client.say({ type: FRAME.abort, count: slots.length, body: bytesOf(Uint32Array.from(slots)) });
    return slots.length === ARENA_UNITS;
  }

  end(): void {
    this.#client.socket.destroy();
  }
}

async function serveWorld(
  t: { teardown(work: () => unknown): unknown },
  world: World,
  onPassed: { taken: number; closed: number },
): Promise<{ server: NodeServer; socketPath: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'refill-'));
  const socketPath = join(directory, 'node.sock');
  const takePassedFd = (token: Uint8Array) => {
    if (token[0]! % 2 === 0) return undefined;
    onPassed.taken++;
    return { fd: 1000, close: () => onPassed.closed++ };
  };
  const server = serveNode(
    { node: world.node, clock: systemClock, log: silent, takePassedFd },
    { socketPath, fdSocketPath: `${socketPath}.fd`, bounds: { lingerMs: 50 } },
  );
  await server.start();
  t.teardown(async () => {
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  return { server, socketPath };
}

t.test(
  'no stream of frames harms the node or another client, or leaves anything',
  { timeout: 300_000 },
  async (t) => {
    const random = seededRandom(t);
    const world = await createWorld({ paneUnits: [ARENA_UNITS / 2, ARENA_UNITS / 2], reserveWaitMs: 50 });
    // A client of the socket may send the node away, which would rightly end this test.
    world.node.drain = async () => ({ phase: 'done' }) as DrainStatus;
    world.io.files.set('r', new Uint8Array(LIES.regionBytes));
    const passed = { taken: 0, closed: 0 };
    const { server, socketPath } = await serveWorld(t, world, passed);
    const good = await GoodClient.connect(world, socketPath);
    let running = true;
    const time = (async () => {
      while (running) await world.clock.advance(20);
    })();

    const codes = new Set<string>();
    let key = 0;
    const garbage = async () => {
      for (const code of await speak(socketPath, garbageStream(random, 600, LIES), random() < 0.5))
        codes.add(code);
    };
    const check = async () => {
      await good.put(key++);
      await good.readAll();
    };
    let rounds = 0;
    while (server.counters.frames < FRAMES) {
      await Promise.all([check(), garbage(), garbage(), garbage(), garbage()]);
      if (++rounds % 25 !== 0) continue;
      await until(() => server.counters.connectionsNow === 1);
      const { sessions } = world.node.status();
      if (sessions !== 1) t.fail(`${sessions} sessions are left`);
    }

    await until(() => server.counters.connectionsNow === 1);
    await until(() => world.io.regions.size === 0);
    await until(() => world.node.status().writes.backlogBytes === 0);
    const before = { ...good.counts };
    await good.readAll();
    t.same(good.wrong, [], 'a client that behaves got its own bytes throughout');
    t.equal(good.counts.misses, before.misses, 'and gets every block once the others are gone');
    t.ok(good.counts.hits > 1000 && good.counts.puts > 10, JSON.stringify(good.counts));
    await until(() => world.node.status().arena.pinnedBytes === 0);
    t.match(world.node.status(), { sessions: 1, arena: { pinnedBytes: 0, quarantinedBytes: 0 } });
    t.ok(await good.takesWholeArena(), 'no slot is left reserved or pinned');
    t.equal(passed.closed, passed.taken, 'no descriptor is left open');
    t.ok(passed.taken > 0);
    good.end();
    await until(() => server.counters.connectionsNow === 0);
    t.equal(world.node.status().sessions, 0);
    running = false;
    await time;

    const unknown = [...codes].filter((code) => !(code in ERROR_CODES) || code.startsWith('ERR_INTERNAL'));
    t.same(unknown, [], 'every error has its code');
    t.same(world.logged, []);
    t.comment(`${JSON.stringify(server.counters)} ${[...codes].sort().join(' ')}`);
  },
);
