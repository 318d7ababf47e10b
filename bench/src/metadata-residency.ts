import type { Clock, SmallFiles } from '@refill/interface';
import { createDirectory, createMetadataService, createRemoteMetadata, MemoryEngine } from '@refill/metadata';

/**
 * What heartbeats and residency cost the service: simulated nodes, each with hot blocks of which four nodes share
 * each, on virtual time; first everything is told, then rounds in which a part of it changes. The real code of both sides.
 *
 *     node --expose-gc bench/dist/metadata-residency.js [nodes] [blocks a node] [changes a node and second]
 */
const [nodes, blocks, changes] = [1000, 100_000, 200].map((value, i) =>
  Number(process.argv[2 + i] ?? value),
) as [number, number, number];
const SHARED_BY = 4;
const BEAT_SECONDS = 2;
const ROUNDS = 5;

/** Time that is moved on by hand. */
class StepClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Map<number, { atMs: number; callback: () => void }>();
  #next = 0;

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const id = this.#next++;
    this.#timers.set(id, { atMs: this.#nowMs + delayMs, callback });
    return () => void this.#timers.delete(id);
  }

  /** Everything that is due within the next milliseconds, at their end. */
  async step(ms: number): Promise<void> {
    this.#nowMs += ms;
    for (const [id, { atMs, callback }] of [...this.#timers]) {
      if (atMs > this.#nowMs || !this.#timers.delete(id)) continue;
      callback();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

const clock = new StepClock();
const chance = {
  bytes: <T extends Uint8Array>(target: T): T => {
    for (let i = 0; i < target.length; i++) target[i] = Math.random() * 256;
    return target;
  },
};
const files: SmallFiles = {
  readFile: async () => undefined,
  writeFile: async () => undefined,
  list: async () => [],
  unlink: async () => undefined,
};
const parts = { clock, chance, files, log: { error: console.error } };
const directory = createDirectory({ ...parts, engine: new MemoryEngine() });
await directory.start();
const service = createMetadataService({ ...parts, directory });
await service.start();

let microseconds = 0;
let bytes = 0;
const key = new Uint32Array(8);
const keyOf = (block: number): Uint32Array => {
  for (let word = 0; word < 8; word++) key[word] = Math.imul(block + 1, 0x9e3779b1 + 2 * word) ^ block;
  return key;
};
/** Blocks of groups of four nodes are the same. */
const firstOf = (node: number): number => Math.floor(node / SHARED_BY) * blocks;

const members = [];
for (let i = 0; i < nodes; i++) {
  const peer = `p${i}`;
  const channel = {
    async request(body: Uint8Array): Promise<Uint8Array> {
      const before = process.cpuUsage();
      const answer = await service.answer(peer, body);
      const { user, system } = process.cpuUsage(before);
      microseconds += user + system;
      bytes += body.length + answer.length;
      return answer;
    },
  };
  const { cluster } = createRemoteMetadata(
    { ...parts, channel },
    {
      node: `n${i}`,
      control: { peer, addresses: [`/ip4/10.0.0.1/tcp/${i}`] },
      dataAddress: `10.0.0.1:${i}`,
      cacheBytes: 0,
    },
  );
  await cluster.start();
  members.push(cluster);
}
const measure = (what: string, seconds: number): void => {
  const cpu = microseconds / 1e6;
  const perSecond = Math.round(bytes / seconds).toLocaleString('en-US');
  console.log(
    `${what}: ${cpu.toFixed(2)} CPU s of the service, ${(cpu / seconds).toFixed(3)} of a core, ${perSecond} bytes/s`,
  );
  microseconds = 0;
  bytes = 0;
};
measure(`${nodes} nodes join`, 1);

let tellingSeconds = 0;
for (const [i, cluster] of members.entries()) {
  for (let n = 0; n < blocks; n++) cluster.noteResident(0, keyOf(firstOf(i) + n), 0, true);
  // Some nodes at a time: what they keep until it is told is theirs, not the service's.
  if (i % 50 !== 49 && i !== members.length - 1) continue;
  for (let step = 0; step < 110; step++) await clock.step(20);
  tellingSeconds += 2.2;
}
const { residentBlocks, residencyBytes } = service.status;
measure(`${residentBlocks.toLocaleString('en-US')} blocks told`, tellingSeconds);
console.log(
  `${(residencyBytes / residentBlocks).toFixed(1)} bytes an entry, ${Math.round(residencyBytes / 2 ** 20)} MiB`,
);

for (let round = 0; round < ROUNDS; round++) {
  for (const [i, cluster] of members.entries()) {
    for (let n = 0; n < changes * BEAT_SECONDS; n++) {
      // Half of them go, half come back or are new.
      const block = firstOf(i) + Math.floor(Math.random() * blocks);
      cluster.noteResident(0, keyOf(block), 0, n % 2 === 1);
    }
  }
  for (let step = 0; step < 20; step++) await clock.step((1000 * BEAT_SECONDS) / 20);
}
measure(`heartbeats with ${changes} changes a node and second`, ROUNDS * BEAT_SECONDS);
console.log(
  `members: ${service.status.members}, heap ${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB`,
);
process.exit(0);
