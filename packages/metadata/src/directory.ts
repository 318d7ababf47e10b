import {
  BLOCK_FLAG,
  type Chance,
  type Clock,
  COMMIT_ROW,
  COMMIT_ROW_WORDS,
  type Directory,
  type DirectoryStats,
  ENTRY_NONE,
  type Fingerprint,
  invariant,
  KEY_WORDS,
  LOCATION_ROW,
  LOCATION_ROW_WORDS,
  type MetadataEngine,
  type NamespacePolicy,
  type NamespaceRecord,
  type PageMemory,
  RefillError,
  SEGMENT_BYTES_MAX,
  SEGMENT_ID_BYTES,
  type SegmentRecord,
  type SegmentState,
  type SmallFiles,
} from '@refill/interface';
import { BeyondMemory } from './beyond-memory.ts';
import { BlockIndex, INDEX_ROW } from './block-index.ts';
import { BlockPuts } from './block-puts.ts';
import {
  type BlockState,
  commitBeyondMemory,
  commitInMemory,
  removeBeyondMemory,
  removeInMemory,
} from './block-writer.ts';
import { Catalogue, hex } from './catalogue.ts';
import { readCatalogueFile, writeCatalogueFile } from './catalogue-file.ts';
import { removeCheckpoints, writeCheckpoint } from './checkpoint.ts';
import { hasRoom, loadIndex, markCheckpoint } from './load-index.ts';
import { SPACE, spaceRange } from './record.ts';
import { Turns } from './turns.ts';

/** Keys looked up before asking whether the prefix has ended. */
const PREFIX_KEYS = 1024;
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
export function createDirectory(components: DirectoryComponents, options: DirectoryOptions = {}): Directory {
  return new EmbeddedDirectory(components, options);
}

class EmbeddedDirectory implements Directory {
  readonly #components: DirectoryComponents;
  readonly #state: BlockState;
  readonly #seed: number;
  /** Changes of the catalogue, and of blocks while some are beyond memory, happen one at a time. */
  readonly #catalogueTurns = new Turns();
  readonly #blockTurns = new Turns();
  readonly #checkpointTurns = new Turns();
  #entries = new Int32Array(PREFIX_KEYS);
  #damaged = 0;
  #open = false;

  constructor(components: DirectoryComponents, { memoryBudgetBytes }: DirectoryOptions) {
    this.#components = components;
    const { engine } = components;
    this.#seed = new DataView(components.chance.bytes(new Uint8Array(4)).buffer).getUint32(0);
    const catalogue = new Catalogue(engine);
    this.#state = {
      engine,
      catalogue,
      index: new BlockIndex({ seed: this.#seed, memory: components.memory }),
      beyond: new BeyondMemory(engine, catalogue),
      puts: new BlockPuts(),
      memoryBudgetBytes: memoryBudgetBytes ?? MEMORY_BUDGET_BYTES_DEFAULT,
    };
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
      await this.#loadCatalogue();
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
    await Promise.all([this.#catalogueTurns.run(async () => {}), this.#blockTurns.run(async () => {})]);
    try {
      const manifest = await this.#checkpointTurns.run(() => writeCheckpoint(this.#components.files, index));
      if (beyond.blocks === 0) await markCheckpoint(engine, manifest);
    } catch (error) {
      this.#components.log.error('no checkpoint at stop, the next start reads all records: %o', error);
    } finally {
      await engine.stop();
    }
  }

  acquireEpoch(node: string): Promise<number> {
    return this.#changeCatalogue(() => this.#state.catalogue.raiseEpoch(node));
  }

  openNamespace(fingerprint: Fingerprint, policy: Partial<NamespacePolicy> = {}): Promise<NamespaceRecord> {
    return this.#catalogueTurns.run(async () => {
      this.#assertOpen();
      const { catalogue } = this.#state;
      const found = catalogue.findNamespace(fingerprint);
      if (found !== undefined && (policy.compress ?? found.policy.compress) === found.policy.compress)
        return found;
      if (found !== undefined) await catalogue.setPolicy(found, { ...found.policy, ...policy });
      const namespace =
        found ?? (await catalogue.createNamespace(fingerprint, { compress: false, ...policy }));
      await writeCatalogueFile(this.#components.files, this.#catalogueCopy());
      return namespace;
    });
  }

  namespace(index: number): NamespaceRecord | undefined {
    return this.#state.catalogue.namespaces.get(index);
  }

  namespaces(): NamespaceRecord[] {
    return [...this.#state.catalogue.namespaces.values()];
  }

  createSegment(segment: {
    id: Uint8Array;
    namespace: number;
    node: string;
    epoch: number;
    sizeBytes: number;
    restored?: boolean;
  }): Promise<SegmentRecord> {
    return this.#catalogueTurns.run(async () => {
      this.#assertOpen();
      const { catalogue } = this.#state;
      const { id, namespace, node, epoch, sizeBytes } = segment;
      invariant(id.length === SEGMENT_ID_BYTES, `a segment id has ${SEGMENT_ID_BYTES} bytes`);
      invariant(sizeBytes > 0 && sizeBytes <= SEGMENT_BYTES_MAX, 'the size of a segment is within its limit');
      invariant(
        catalogue.namespaces.has(namespace),
        `namespace ${namespace} of a segment is in the directory`,
      );
      if (segment.restored !== true) this.#assertEpoch(node, epoch);
      return catalogue.createSegment({ id: hex(id), namespace, node, epoch, sizeBytes });
    });
  }

  moveSegment(index: number, from: SegmentState, to: SegmentState, endBytes: number): Promise<boolean> {
    return this.#catalogueTurns.run(async () => {
      this.#assertOpen();
      const segment = this.#state.catalogue.segments.get(index);
      if (segment === undefined || segment.state !== from) return false;
      if (to === 'dead' && (segment.liveBlocks > 0 || !this.#blockTurns.idle)) {
        // Commits that the engine is still deciding are counted when their turn has ended.
        await this.#blockTurns.run(async () => {});
        if (segment.liveBlocks > 0) return false;
      }
      await this.#state.catalogue.moveSegment(segment, to, endBytes);
      return true;
    });
  }

  forgetSegment(index: number): Promise<void> {
    return this.#catalogueTurns.run(async () => {
      this.#assertOpen();
      const segment = this.#state.catalogue.segments.get(index);
      if (segment === undefined) return;
      invariant(segment.state === 'dead', `segment ${index} is dead before it is forgotten`);
      await this.#state.catalogue.forgetSegment(segment);
    });
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

  lookup(namespace: number, keys: Uint32Array, count: number, rows: Uint32Array): void | Promise<void> {
    const { index, beyond } = this.#state;
    const entries = this.#find(namespace, keys, count);
    const missing: number[] = [];
    for (let i = 0; i < count; i++) {
      const at = i * LOCATION_ROW_WORDS;
      if (entries[i]! >= 0) {
        index.locate(entries[i]!, rows, at);
        continue;
      }
      rows.fill(0, at, at + LOCATION_ROW_WORDS);
      rows[at + LOCATION_ROW.entry] = ENTRY_NONE;
      if (beyond.blocks > 0) missing.push(i);
    }
    if (missing.length > 0) return beyond.locate(namespace, keys, missing, rows);
  }

  matchPrefix(namespace: number, keys: Uint32Array, count: number): number | Promise<number> {
    const { beyond } = this.#state;
    const missing: number[] = [];
    for (let from = 0; from < count; from += PREFIX_KEYS) {
      const length = Math.min(PREFIX_KEYS, count - from);
      const entries = this.#find(namespace, keys.subarray(from * KEY_WORDS), length);
      for (let i = 0; i < length; i++) {
        if (entries[i]! >= 0) continue;
        if (beyond.blocks === 0) return from + i;
        missing.push(from + i);
      }
    }
    if (missing.length === 0) return count;
    return beyond.firstAbsent(namespace, keys, missing).then((absent) => absent ?? count);
  }

  async commit(
    node: string,
    epoch: number,
    rows: Uint32Array,
    count: number,
    accepted: Uint8Array,
    { durable = false }: { durable?: boolean } = {},
  ): Promise<void> {
    this.#assertCommit(node, epoch, rows, count);
    if (this.#memoryIsWhole && hasRoom(this.#state.index, count, this.#state.memoryBudgetBytes)) {
      return commitInMemory(this.#state, rows, count, accepted, this.#nowSeconds, durable);
    }
    return this.#blockTurns.run(() => {
      this.#assertCommit(node, epoch, rows, count);
      return commitBeyondMemory(this.#state, rows, count, accepted, this.#nowSeconds, durable);
    });
  }

  async remove(namespace: number, keys: Uint32Array, count: number): Promise<number> {
    this.#assertOpen();
    if (this.#memoryIsWhole) {
      const { removed, written } = removeInMemory(this.#state, namespace, keys, count);
      await written;
      return removed;
    }
    return this.#blockTurns.run(async () => {
      const { unknown, removed, written } = removeInMemory(this.#state, namespace, keys, count);
      await written;
      return removed + (await removeBeyondMemory(this.#state, namespace, keys, unknown, () => true));
    });
  }

  async removeAt(
    namespace: number,
    key: Uint32Array,
    segment: number,
    offsetPages: number,
  ): Promise<boolean> {
    this.#assertOpen();
    if (this.#memoryIsWhole) return this.#removeAtInMemory(namespace, key, segment, offsetPages);
    const wanted = (row: Uint32Array): boolean =>
      row[COMMIT_ROW.segment] === segment && row[COMMIT_ROW.offsetPages] === offsetPages;
    return this.#blockTurns.run(
      async () =>
        (await this.#removeAtInMemory(namespace, key, segment, offsetPages)) ||
        (await removeBeyondMemory(this.#state, namespace, key, [0], wanted)) === 1,
    );
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

  /** Blocks go first, so that a crash in between leaves none without its segment. */
  reset(): Promise<void> {
    return this.#changeCatalogue(() =>
      this.#blockTurns.run(async () => {
        const { engine, catalogue, beyond } = this.#state;
        this.#state.index.free();
        this.#state.index = new BlockIndex({ seed: this.#seed, memory: this.#components.memory });
        beyond.blocks = 0;
        catalogue.forget();
        for (const space of [SPACE.block, SPACE.segment, SPACE.namespace])
          await engine.clear(spaceRange(space));
        await this.#checkpointTurns.run(() => removeCheckpoints(this.#components.files));
      }),
    );
  }

  async checkpoint(): Promise<void> {
    this.#assertOpen();
    await this.#checkpointTurns.run(() => writeCheckpoint(this.#components.files, this.#state.index));
  }

  async #removeAtInMemory(
    namespace: number,
    key: Uint32Array,
    segment: number,
    page: number,
  ): Promise<boolean> {
    const { index } = this.#state;
    const entry = index.find(namespace, key, 0);
    if (entry < 0 || index.word(entry, INDEX_ROW.segment) !== segment) return false;
    if (index.word(entry, INDEX_ROW.offsetPages) !== page) return false;
    await removeInMemory(this.#state, namespace, key, 1).written;
    return true;
  }

  /** Whether memory alone decides: no block is beyond it, and no call that may change that is under way. */
  get #memoryIsWhole(): boolean {
    return this.#state.beyond.blocks === 0 && this.#blockTurns.idle;
  }

  get #nowSeconds(): number {
    return Math.floor(this.#components.clock.wallMs() / 1000);
  }

  #find(namespace: number, keys: Uint32Array, count: number): Int32Array {
    if (this.#entries.length < count) this.#entries = new Int32Array(count);
    this.#state.index.findMany(namespace, keys, count, this.#entries);
    return this.#entries;
  }

  #assertOpen(): void {
    if (!this.#open) throw new RefillError('ERR_NODE_CLOSED', 'the directory is not started');
  }

  #assertEpoch(node: string, epoch: number): void {
    const current = this.#state.catalogue.epochs.get(node);
    if (current === epoch) return;
    throw new RefillError('ERR_FENCED', `epoch ${epoch} of node ${node} is not its current one, ${current}`);
  }

  #assertCommit(node: string, epoch: number, rows: Uint32Array, count: number): void {
    this.#assertOpen();
    this.#assertEpoch(node, epoch);
    for (let i = 0; i < count; i++) {
      const at = i * COMMIT_ROW_WORDS;
      const index = rows[at + COMMIT_ROW.segment]!;
      const segment = this.#state.catalogue.segments.get(index);
      if (
        segment === undefined ||
        segment.node !== node ||
        segment.epoch > epoch ||
        segment.state === 'dead'
      ) {
        const what =
          segment === undefined ? 'unknown' : `${segment.state}, of ${segment.node}:${segment.epoch}`;
        throw new RefillError(
          'ERR_FENCED',
          `segment ${index} takes no commit of ${node}:${epoch}: it is ${what}`,
        );
      }
      invariant(
        segment.namespace === rows[at + COMMIT_ROW.namespace],
        'a block is of the namespace of its segment',
      );
      invariant(
        (rows[at + COMMIT_ROW.flags]! & BLOCK_FLAG.tombstone) === 0,
        'a tombstone is removed, not committed',
      );
    }
  }

  #changeCatalogue<T>(change: () => Promise<T>): Promise<T> {
    return this.#catalogueTurns.run(async () => {
      this.#assertOpen();
      const result = await change();
      await writeCatalogueFile(this.#components.files, this.#catalogueCopy());
      return result;
    });
  }

  #catalogueCopy(): Parameters<typeof writeCatalogueFile>[1] {
    const { epochs, namespaces } = this.#state.catalogue;
    return { epochs, namespaces: [...namespaces.values()] };
  }

  /** An empty engine takes epochs and namespaces from the copy; a filled one at least never falls behind its epochs. */
  async #loadCatalogue(): Promise<void> {
    const { catalogue } = this.#state;
    const filled = await catalogue.load();
    const copy = await readCatalogueFile(this.#components.files);
    if (copy === 'damaged') this.#passOver('the copy of the catalogue');
    const known = copy === undefined || copy === 'damaged' ? { epochs: new Map(), namespaces: [] } : copy;
    if (!filled) await catalogue.restore(known.epochs, known.namespaces);
    for (const [node, epoch] of known.epochs) {
      catalogue.epochs.set(node, Math.max(epoch, catalogue.epochs.get(node) ?? 0));
    }
  }

  #passOver(what: string): void {
    this.#damaged++;
    this.#components.log.error('%s is damaged and passed over', what);
  }
}
