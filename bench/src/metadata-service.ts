import { fork } from 'node:child_process';
import { rmSync } from 'node:fs';
import { systemChance, systemClock } from '@refill/cli';
import { createControl, createIdentity } from '@refill/control';
import {
  COMMIT_ROW,
  COMMIT_ROW_WORDS,
  type ControlNetwork,
  type Directory,
  KEY_WORDS,
  LOCATION_ROW_WORDS,
  type PeerAddress,
  type SmallFiles,
} from '@refill/interface';
import {
  controlChannel,
  createDirectory,
  createMetadataService,
  createRemoteMetadata,
  LevelEngine,
  type LocalDirectory,
  localChannel,
  MemoryEngine,
  type MetadataService,
  type ServiceChannel,
} from '@refill/metadata';

/**
 * Keys looked up and blocks committed a second, in batches of 512, by four nodes of one service: in its own process
 * without a network, and over libp2p on loopback with the nodes in a process of their own. Not cached by the nodes.
 *
 *     node bench/dist/metadata-service.js [blocks] [seconds] [scratch directory] [--json]
 */
const BATCH = 512;
const NODES = 4;
const IN_FLIGHT = 8;
const CREDENTIALS = { cluster: 'bench', secret: new Uint8Array(32).fill(5) };
const NO_FILES: SmallFiles = {
  readFile: async () => undefined,
  writeFile: async () => undefined,
  list: async () => [],
  unlink: async () => undefined,
};
const parts = { files: NO_FILES, clock: systemClock, chance: systemChance, log: { error: console.error } };

/** Key `n`: words that look random and are the same in every process. */
function keyInto(keys: Uint32Array, at: number, n: number): void {
  for (let word = 0; word < KEY_WORDS; word++) keys[at + word] = Math.imul(n + 1, 0x9e3779b1 + 2 * word) ^ n;
}

async function nodeOf(channel: ServiceChannel, name: string) {
  const node = createRemoteMetadata(
    { ...parts, channel },
    { node: name, control: { peer: name, addresses: [] }, dataAddress: '', cacheBytes: 0, lookupMs: 10_000 },
  );
  await node.cluster.start();
  return node;
}

type Node = Awaited<ReturnType<typeof nodeOf>>;

async function segmentOf(directory: Directory, node: string, epoch: number): Promise<number> {
  const fingerprint = { name: 'bench', model: 'm', dtype: 'bfloat16', layout: 'NHD', tokensPerBlock: 16 };
  const namespace = (await directory.openNamespace(fingerprint)).index;
  const id = systemChance.bytes(new Uint8Array(16));
  return (await directory.createSegment({ id, namespace, node, epoch, sizeBytes: 2 ** 33 })).index;
}

/** Commits blocks `from .. to` in batches, four at a time; answers blocks a second. */
async function commitAll(
  directory: Directory,
  node: string,
  epoch: number,
  from: number,
  to: number,
): Promise<void> {
  const segment = await segmentOf(directory, node, epoch);
  let next = from;
  const worker = async (): Promise<void> => {
    const rows = new Uint32Array(BATCH * COMMIT_ROW_WORDS);
    const accepted = new Uint8Array(BATCH);
    while (next < to) {
      const first = next;
      const count = Math.min(BATCH, to - first);
      next += count;
      for (let i = 0; i < count; i++) {
        const at = i * COMMIT_ROW_WORDS;
        keyInto(rows, at + COMMIT_ROW.key, first + i);
        rows[at + COMMIT_ROW.segment] = segment;
        rows[at + COMMIT_ROW.offsetPages] = first + i - from + 1;
        rows[at + COMMIT_ROW.lengthBytes] = 4096;
        rows[at + COMMIT_ROW.storedBytes] = 4096;
      }
      await directory.commit(node, epoch, rows, count, accepted, { durable: true });
    }
  };
  await Promise.all(Array.from({ length: 4 }, worker));
}

/** Looks up random batches of known keys until the time is over; answers keys a second. */
async function lookUp(directories: readonly Directory[], blocks: number, seconds: number): Promise<number> {
  const endsAtMs = performance.now() + 1000 * seconds;
  let looked = 0;
  const worker = async (directory: Directory): Promise<void> => {
    const keys = new Uint32Array(BATCH * KEY_WORDS);
    const rows = new Uint32Array(BATCH * LOCATION_ROW_WORDS);
    while (performance.now() < endsAtMs) {
      for (let i = 0; i < BATCH; i++) {
        keyInto(keys, i * KEY_WORDS, Math.floor(Math.random() * blocks));
      }
      await directory.lookup(0, keys, BATCH, rows);
      if (rows[0] !== 1 || rows[(BATCH - 1) * LOCATION_ROW_WORDS] !== 1)
        throw new Error('a block was not found');
      looked += BATCH;
    }
  };
  const startedMs = performance.now();
  await Promise.all(directories.flatMap((one) => Array.from({ length: IN_FLIGHT }, () => worker(one))));
  return Math.round((1000 * looked) / (performance.now() - startedMs));
}

async function fill(nodes: readonly Node[], blocks: number): Promise<number> {
  const startedMs = performance.now();
  const share = Math.ceil(blocks / nodes.length);
  await Promise.all(
    nodes.map(({ directory, cluster }, i) =>
      commitAll(
        directory,
        cluster.lease.node,
        cluster.lease.epoch,
        i * share,
        Math.min(blocks, (i + 1) * share),
      ),
    ),
  );
  return Math.round((1000 * blocks) / (performance.now() - startedMs));
}

async function serve(
  scratch: string | undefined,
  control?: ControlNetwork,
): Promise<{ directory: LocalDirectory; service: MetadataService }> {
  const engine = scratch === undefined ? new MemoryEngine() : new LevelEngine({ path: scratch });
  const directory = createDirectory({ ...parts, engine });
  await directory.start();
  const service = createMetadataService({ ...parts, directory, ...(control && { control }) });
  await service.start();
  return { directory, service };
}

/** Durable commits and lookups a second. */
export interface ServiceRates {
  commits: number;
  lookups: number;
}

/** One run: without a service, with one but without a network, and over the network. */
export interface ServiceRun {
  inProcess: ServiceRates;
  local: ServiceRates;
  network: ServiceRates;
  /** CPU seconds of the service over the whole of the network's part. */
  serviceCpuSeconds: number;
}

function print(what: string, { commits, lookups }: ServiceRates): void {
  const rate = (value: number): string => value.toLocaleString('en-US').padStart(12);
  console.log(`${what.padEnd(48)} ${rate(commits)} durable commits/s ${rate(lookups)} lookups/s`);
}

/** The nodes' process: told where the service is and what to do. */
async function beNodes(service: PeerAddress, blocks: number, seconds: number): Promise<void> {
  const nodes: Node[] = [];
  for (let i = 0; i < NODES; i++) {
    const control = createControl(
      { identity: await createIdentity(), clock: systemClock, chance: systemChance },
      CREDENTIALS,
    );
    await control.start();
    nodes.push(await nodeOf(controlChannel(control, service), `n${i}`));
  }
  const commits = await fill(nodes, blocks);
  const before = process.cpuUsage();
  const lookups = await lookUp(
    nodes.map(({ directory }) => directory),
    blocks,
    seconds,
  );
  const used = process.cpuUsage(before);
  process.send!({ commits, lookups, cpuSeconds: (used.user + used.system) / 1e6 });
}

async function withoutService(blocks: number, seconds: number, scratch: string): Promise<ServiceRates> {
  const { directory } = await serve(scratch);
  const epoch = await directory.acquireEpoch('a');
  const startedMs = performance.now();
  await commitAll(directory, 'a', epoch, 0, blocks);
  const commits = Math.round((1000 * blocks) / (performance.now() - startedMs));
  const lookups = await lookUp([directory], blocks, seconds);
  await directory.stop();
  return { commits, lookups };
}

async function withoutNetwork(blocks: number, seconds: number, scratch: string): Promise<ServiceRates> {
  const { directory, service } = await serve(scratch);
  const nodes = await Promise.all(
    Array.from({ length: NODES }, (_, i) => nodeOf(localChannel(service, `p${i}`), `n${i}`)),
  );
  const commits = await fill(nodes, blocks);
  const lookups = await lookUp(
    nodes.map((node) => node.directory),
    blocks,
    seconds,
  );
  for (const { cluster } of nodes) await cluster.stop();
  await service.stop();
  await directory.stop();
  return { commits, lookups };
}

async function overNetwork(
  blocks: number,
  seconds: number,
  scratch: string,
): Promise<Pick<ServiceRun, 'network' | 'serviceCpuSeconds'>> {
  const control = createControl(
    { identity: await createIdentity(), clock: systemClock, chance: systemChance },
    CREDENTIALS,
  );
  const { directory, service } = await serve(scratch, control);
  await control.start();
  const child = fork(process.argv[1]!, [
    'nodes',
    JSON.stringify(control.self),
    String(blocks),
    String(seconds),
  ]);
  const before = process.cpuUsage();
  const network = await new Promise<ServiceRates>((resolve, reject) => {
    child.once('message', ({ commits, lookups }: ServiceRates) => resolve({ commits, lookups }));
    child.once('exit', (code) => reject(new Error(`the nodes ended with ${code}`)));
  });
  const { user, system } = process.cpuUsage(before);
  child.kill();
  await service.stop();
  await control.stop();
  await directory.stop();
  return { network, serviceCpuSeconds: (user + system) / 1e6 };
}

async function main(blocks: number, seconds: number, scratch: string): Promise<ServiceRun> {
  const inProcess = await withoutService(blocks, seconds, `${scratch}/in-process`);
  const local = await withoutNetwork(blocks, seconds, `${scratch}/local`);
  return { inProcess, local, ...(await overNetwork(blocks, seconds, `${scratch}/network`)) };
}

const isJson: boolean = process.argv.includes('--json');
const [first, ...rest] = process.argv.slice(2).filter((word) => word !== '--json');
if (first === 'nodes') {
  await beNodes(JSON.parse(rest[0]!), Number(rest[1]), Number(rest[2]));
} else {
  const scratch = rest[1] ?? '/tmp/refill-metadata-bench';
  rmSync(scratch, { recursive: true, force: true });
  try {
    const run = await main(Number(first ?? 200_000), Number(rest[0] ?? 5), scratch);
    if (isJson) console.log(JSON.stringify(run));
    else {
      print('in-process directory', run.inProcess);
      print('4 nodes, messages without a network, one core', run.local);
      print('4 nodes over libp2p, two processes', run.network);
      console.log(`CPU of the service over the network: ${run.serviceCpuSeconds.toFixed(2)} s`);
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
