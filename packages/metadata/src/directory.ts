import {
  type Chance,
  type Clock,
  type Directory,
  type DirectoryStats,
  type Fingerprint,
  type MetadataEngine,
  type NamespacePolicy,
  type NamespaceRecord,
  type PageMemory,
  RefillError,
  type SegmentRecord,
  type SegmentState,
  type SmallFiles,
} from '@refill/interface';
import { BeyondMemory } from './beyond-memory.ts';
import { BlockIndex, INDEX_ROW } from './block-index.ts';
import { BlockPuts } from './block-puts.ts';
import type { BlockState } from './block-writer.ts';
import { Catalogue } from './catalogue.ts';
import { ChangeBlocks } from './change-blocks.ts';
import { ChangeCatalogue } from './change-catalogue.ts';
import { removeCheckpoints, writeCheckpoint } from './checkpoint.ts';
import { FindBlocks } from './find-blocks.ts';
import { loadIndex, markCheckpoint } from './load-index.ts';
import { drawNumber } from './protocol/draw-number.ts';
import { SPACE, spaceRange } from './record.ts';
import type { ChangeLog } from './service/change-log.ts';
import { Turns } from './turns.ts';

export const MEMORY_BUDGET_BYTES_DEFAULT: number = 2 * 1024 * 1024 * 1024;

export interface DirectoryComponents {
  /** Started and stopped by the directory, which is its only user. */
  engine: MetadataEngine;
  files: SmallFiles;
  clock: Pick<Clock, 'wallMs'>;
  chance: Pick<Chance, 'bytes'>;
  log: { error(format: string, ...args: unknown[]): void };
  /** Where the block index lies, for huge pages; default ordinary memory. */
  memory?: PageMemory;
}

export interface DirectoryOptions {
  /** Memory that the block index may take. Beyond it blocks live in the engine only. Default 2 GiB. */
  memoryBudgetBytes?: number;
}

/**
 * The directory of one node with its metadata embedded: catalogue and block index in memory, the engine as their
 * durable form.
 * @example
 * const directory = createDirectory({ engine: new LevelEngine({ path }), files, clock, chance, log });
 * await directory.start();
 */
export function createDirectory(
  components: DirectoryComponents,
  options: DirectoryOptions = {},
): LocalDirectory {
  return new EmbeddedDirectory(components, options);
}

/** What a metadata service needs of the directory that it serves. */
export interface LocalDirectory extends Directory {
  /** What changed in the catalogue; the service notes its members there too. */
  readonly changes: ChangeLog;
  readonly incarnation: number;
  /** The life of the metadata service over this directory, for checkpoints to name; 0 for none. Set by the service. */
  session: number;
  /** The current epoch of a node, 0 for one never heard of. */
  epochOf(node: string): number;
  /** As the contract says, and above `above`: what the node remembers when the directory lost it. */
  acquireEpoch(node: string, above?: number): Promise<number>;
  /** Names that ever had an epoch. */
  readonly nodesKnown: number;
}

class EmbeddedDirectory implements LocalDirectory {
  session = 0;
  readonly #components: DirectoryComponents;
  readonly #state: BlockState;
  readonly #seed: number;
  readonly #finder: FindBlocks;
  readonly #blocks: ChangeBlocks;
  readonly #catalogue: ChangeCatalogue;
  readonly #checkpointTurns = new Turns();
  #damaged = 0;
  #open = false;

  constructor(components: DirectoryComponents, { memoryBudgetBytes }: DirectoryOptions) {
    this.#components = components;
    const { engine, files } = components;
    this.#seed = new DataView(components.chance.bytes(new Uint8Array(4)).buffer).getUint32(0);
    const catalogue = new Catalogue(engine, () => drawNumber(components.chance));
    this.#state = {
      engine,
      catalogue,
      index: new BlockIndex({ seed: this.#seed, memory: components.memory }),
      beyond: new BeyondMemory(engine, catalogue),
      puts: new BlockPuts(),
      memoryBudgetBytes: memoryBudgetBytes ?? MEMORY_BUDGET_BYTES_DEFAULT,
    };
    const assertOpen = (): void => this.#assertOpen();
    this.#finder = new FindBlocks(this.#state);
    this.#blocks = new ChangeBlocks(this.#state, { assertOpen, nowSeconds: () => this.#nowSeconds });
    this.#catalogue = new ChangeCatalogue(catalogue, { files, assertOpen, blockTurns: this.#blocks.turns });
  }

  get changes(): ChangeLog {
    return this.#state.catalogue.changes;
  }

  get version(): number {
    return this.changes.version;
  }

  get incarnation(): number {
    return this.#state.catalogue.incarnation;
  }

  epochOf(node: string): number {
    return this.#state.catalogue.epochs.get(node) ?? 0;
  }

  get nodesKnown(): number {
    return this.#state.catalogue.epochs.size;
  }

  get stats(): DirectoryStats {
    const { engine, catalogue, index, beyond } = this.#state;
    let bytes = 0;
    for (const namespace of catalogue.namespaces.values()) bytes += namespace.bytes;
    return {
      blocks: index.size + beyond.blocks,
      bytes,
      segments: catalogue.segments.size,
      namespaces: catalogue.namespaces.size,
      indexBytes: index.bytes,
      blocksBeyondMemory: beyond.blocks,
      damaged: this.#damaged,
      engine: engine.name,
    };
  }

  async start(): Promise<void> {
    if (this.#open) return;
    const { engine, catalogue, memoryBudgetBytes } = this.#state;
    const { files } = this.#components;
    await engine.start();
    try {
      if (!(await this.#catalogue.load())) this.#passOver('the copy of the catalogue');
      const { index, beyond } = await loadIndex({
        engine,
        files,
        catalogue,
        seed: this.#seed,
        memory: this.#components.memory,
        memoryBudgetBytes,
        damaged: (what) => this.#passOver(what),
      });
      this.#state.index.free();
      this.#state.index = index;
      this.#state.beyond.blocks = beyond;
      this.#open = true;
    } catch (error) {
      await engine.stop();
      throw error;
    }
  }

  /** Writes a checkpoint and marks it in the engine, so that the next start need not read all records. */
  async stop(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    const { engine, beyond, index } = this.#state;
    await Promise.all([this.#catalogue.turns.run(async () => {}), this.#blocks.turns.run(async () => {})]);
    try {
      const manifest = await this.#checkpointTurns.run(() => this.#writeCheckpoint(index));
      if (beyond.blocks === 0) await markCheckpoint(engine, manifest);
    } catch (error) {
      this.#components.log.error('no checkpoint at stop, the next start reads all records: %o', error);
    } finally {
      await engine.stop();
    }
  }

  acquireEpoch(node: string, above = 0): Promise<number> {
    return this.#catalogue.acquireEpoch(node, above);
  }

  openNamespace(fingerprint: Fingerprint, policy: Partial<NamespacePolicy> = {}): Promise<NamespaceRecord> {
    return this.#catalogue.openNamespace(fingerprint, policy);
  }

  namespace(index: number): NamespaceRecord | undefined {
    return this.#state.catalogue.namespaces.get(index);
  }

  namespaces(): NamespaceRecord[] {
    return [...this.#state.catalogue.namespaces.values()];
  }

  createSegment(segment: Parameters<Directory['createSegment']>[0]): Promise<SegmentRecord> {
    return this.#catalogue.createSegment(segment);
  }

  moveSegment(index: number, from: SegmentState, to: SegmentState, endBytes: number): Promise<boolean> {
    return this.#catalogue.moveSegment(index, from, to, endBytes);
  }

  forgetSegment(index: number): Promise<void> {
    return this.#catalogue.forgetSegment(index);
  }

  segment(index: number): SegmentRecord | undefined {
    return this.#state.catalogue.segments.get(index);
  }

  segmentById(id: Uint8Array): SegmentRecord | undefined {
    return this.#state.catalogue.segmentById(id);
  }

  segments(): SegmentRecord[] {
    return [...this.#state.catalogue.segments.values()];
  }

  reclaimable(nodes: ReadonlySet<string>): SegmentRecord[] {
    return this.segments().filter(
      (segment) => nodes.has(segment.node) && segment.liveBlocks === 0 && segment.state !== 'open',
    );
  }

  /** Nobody else reads what this directory knows. */
  mayUnlink(index: number): boolean {
    return this.segment(index)?.state === 'dead';
  }

  lookup(namespace: number, keys: Uint32Array, count: number, rows: Uint32Array): void | Promise<void> {
    return this.#finder.lookup(namespace, keys, count, rows);
  }

  matchPrefix(namespace: number, keys: Uint32Array, count: number): number | Promise<number> {
    return this.#finder.matchPrefix(namespace, keys, count);
  }

  commit(
    node: string,
    epoch: number,
    rows: Uint32Array,
    count: number,
    accepted: Uint8Array,
    { durable = false }: { durable?: boolean } = {},
  ): Promise<void> {
    return this.#blocks.commit(node, epoch, rows, count, accepted, durable);
  }

  remove(
    namespace: number,
    keys: Uint32Array,
    count: number,
    { durable = false }: { durable?: boolean } = {},
  ): Promise<number> {
    return this.#blocks.remove(namespace, keys, count, durable);
  }

  removeAt(namespace: number, key: Uint32Array, segment: number, offsetPages: number): Promise<boolean> {
    return this.#blocks.removeAt(namespace, key, segment, offsetPages);
  }

  removeGone(namespace: number, key: Uint32Array, segment: number, offsetPages: number): Promise<boolean> {
    return this.removeAt(namespace, key, segment, offsetPages);
  }

  touch(entries: Uint32Array, count: number): void {
    const now = this.#nowSeconds;
    for (let i = 0; i < count; i++) this.#state.index.touch(entries[i]!, now);
  }

  lastUsedMs(namespace: number, key: Uint32Array): number | undefined {
    const entry = this.#state.index.find(namespace, key, 0);
    const seconds = entry < 0 ? 0 : this.#state.index.word(entry, INDEX_ROW.lastUsed);
    return seconds === 0 ? undefined : seconds * 1000;
  }

  /**
   * Blocks go first, so that a crash in between leaves none without its segment. Namespaces are hard state and stay, with
   * their indexes (K6).
   */
  reset(): Promise<void> {
    return this.#catalogue.andCopy(() =>
      this.#blocks.turns.run(async () => {
        const { engine, catalogue, beyond } = this.#state;
        this.#state.index.free();
        this.#state.index = new BlockIndex({ seed: this.#seed, memory: this.#components.memory });
        beyond.blocks = 0;
        await catalogue.renew();
        for (const space of [SPACE.block, SPACE.segment]) await engine.clear(spaceRange(space));
        await this.#checkpointTurns.run(() => removeCheckpoints(this.#components.files));
      }),
    );
  }

  async checkpoint(): Promise<void> {
    this.#assertOpen();
    await this.#checkpointTurns.run(() => this.#writeCheckpoint(this.#state.index));
  }

  #writeCheckpoint(index: BlockIndex): ReturnType<typeof writeCheckpoint> {
    const { incarnation, session, version } = this;
    const asOf = { incarnation, ...(session !== 0 && { session, catalogueVersion: version }) };
    return writeCheckpoint(this.#components.files, index, asOf);
  }

  get #nowSeconds(): number {
    return Math.floor(this.#components.clock.wallMs() / 1000);
  }

  #assertOpen(): void {
    if (!this.#open) throw new RefillError('ERR_NODE_CLOSED', 'the directory is not started');
  }

  #passOver(what: string): void {
    this.#damaged++;
    this.#components.log.error('%s is damaged and passed over', what);
  }
}
