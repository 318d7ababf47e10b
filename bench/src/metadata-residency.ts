import type { Clock, SmallFiles } from '@refill/interface';
import { createDirectory, createMetadataService, createRemoteMetadata, MemoryEngine } from '@refill/metadata';

/**
 * What heartbeats and residency cost the service: simulated nodes, each with hot blocks of which four nodes share
 * each, on virtual time; first everything is told, then rounds in which a part of it changes. The real code of both sides.
 *
 *     node bench/dist/metadata-residency.js [nodes] [blocks a node] [changes a node and second] [--json]
 */
const isJson: boolean = process.argv.includes('--json');
const words: string[] = process.argv.slice(2).filter((word) => word !== '--json');
const [nodes, blocks, changes] = [1000, 100_000, 200].map((value, i) => Number(words[i] ?? value)) as [
  number,
  number,
  number,
];

/** What one stretch of virtual time cost the service. */
export interface ResidencyCost {
  /** CPU seconds of the service a second of virtual time. */
  cores: number;
  bytesPerSecond: number;
}

export interface ResidencyRun {
  telling: ResidencyCost;
  beating: ResidencyCost;
  bytesPerEntry: number;
}
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
const say = (line: string): void => {
  if (!isJson) console.log(line);
};
const measure = (what: string, seconds: number): ResidencyCost => {
  const cpu = microseconds / 1e6;
  const cost = { cores: cpu / seconds, bytesPerSecond: bytes / seconds };
  const perSecond = Math.round(cost.bytesPerSecond).toLocaleString('en-US');
  say(
    `${what}: ${cpu.toFixed(2)} CPU s of the service, ${cost.cores.toFixed(3)} of a core, ${perSecond} bytes/s`,
  );
  microseconds = 0;
  bytes = 0;
  return cost;
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
const telling = measure(`${residentBlocks.toLocaleString('en-US')} blocks told`, tellingSeconds);
say(
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
const beating = measure(`heartbeats with ${changes} changes a node and second`, ROUNDS * BEAT_SECONDS);
say(`members: ${service.status.members}, memory ${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB`);
const run: ResidencyRun = { telling, beating, bytesPerEntry: residencyBytes / residentBlocks };
if (isJson) console.log(JSON.stringify(run));
process.exit(0);
