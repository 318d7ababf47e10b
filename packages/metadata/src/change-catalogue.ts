import {
  type Directory,
  type Fingerprint,
  invariant,
  type NamespacePolicy,
  type NamespaceRecord,
  SEGMENT_BYTES_MAX,
  SEGMENT_ID_BYTES,
  type SegmentRecord,
  type SegmentState,
  type SmallFiles,
} from '@refill/interface';
import { type Catalogue, hex } from './catalogue.ts';
import { readCatalogueFile, writeCatalogueFile } from './catalogue-file.ts';
import { assertEpoch } from './commit-check.ts';
import { Turns } from './turns.ts';

/**
 * Changes of the catalogue, one at a time: the engine first, then memory, then the copy on the shared file system
 * where epochs or namespaces changed.
 */
export class ChangeCatalogue {
  readonly turns: Turns = new Turns();
  readonly #catalogue: Catalogue;
  readonly #files: SmallFiles;
  readonly #assertOpen: () => void;
  readonly #blockTurns: Turns;

  constructor(catalogue: Catalogue, parts: { files: SmallFiles; assertOpen: () => void; blockTurns: Turns }) {
    this.#catalogue = catalogue;
    this.#files = parts.files;
    this.#assertOpen = parts.assertOpen;
    this.#blockTurns = parts.blockTurns;
  }

  /**
   * An empty engine takes epochs and namespaces from the copy; a filled one, which may have been set back, at least never
   * falls behind those.
   * Answers false when the copy is damaged and was passed over.
   */
  async load(): Promise<boolean> {
    const filled = await this.#catalogue.load();
    const copy = await readCatalogueFile(this.#files);
    const known = copy === undefined || copy === 'damaged' ? { epochs: new Map(), namespaces: [] } : copy;
    if (!filled) await this.#catalogue.restore(known.epochs, known.namespaces);
    else await this.#catalogue.adoptNamespaces(known.namespaces);
    for (const [node, epoch] of known.epochs) {
      this.#catalogue.epochs.set(node, Math.max(epoch, this.#catalogue.epochs.get(node) ?? 0));
    }
    return copy !== 'damaged';
  }

  acquireEpoch(node: string, above: number): Promise<number> {
    return this.andCopy(() => this.#catalogue.raiseEpoch(node, above));
  }

  openNamespace(fingerprint: Fingerprint, policy: Partial<NamespacePolicy>): Promise<NamespaceRecord> {
    return this.#run(async () => {
      const found = this.#catalogue.findNamespace(fingerprint);
      if (found !== undefined && (policy.compress ?? found.policy.compress) === found.policy.compress)
        return found;
      if (found !== undefined) await this.#catalogue.setPolicy(found, { ...found.policy, ...policy });
      const namespace =
        found ?? (await this.#catalogue.createNamespace(fingerprint, { compress: false, ...policy }));
      await this.#writeCopy();
      return namespace;
    });
  }

  createSegment(segment: Parameters<Directory['createSegment']>[0]): Promise<SegmentRecord> {
    return this.#run(async () => {
      const { id, namespace, node, epoch, sizeBytes } = segment;
      invariant(id.length === SEGMENT_ID_BYTES, `a segment id has ${SEGMENT_ID_BYTES} bytes`);
      invariant(sizeBytes > 0 && sizeBytes <= SEGMENT_BYTES_MAX, 'the size of a segment is within its limit');
      invariant(
        this.#catalogue.namespaces.has(namespace),
        `namespace ${namespace} of a segment is in the directory`,
      );
      if (segment.restored !== true) assertEpoch(this.#catalogue, node, epoch);
      const durableCommits = segment.durableCommits === true ? { durableCommits: true } : {};
      return this.#catalogue.createSegment({
        ...{ id: hex(id), namespace, node, epoch, sizeBytes },
        ...durableCommits,
      });
    });
  }

  moveSegment(index: number, from: SegmentState, to: SegmentState, endBytes: number): Promise<boolean> {
    return this.#run(async () => {
      const segment = this.#catalogue.segments.get(index);
      if (segment === undefined || segment.state !== from) return false;
      if (to === 'dead' && (segment.liveBlocks > 0 || !this.#blockTurns.idle)) {
        // Commits that the engine is still deciding are counted when their turn has ended.
        await this.#blockTurns.run(async () => {});
        if (segment.liveBlocks > 0) return false;
      }
      await this.#catalogue.moveSegment(segment, to, endBytes);
      return true;
    });
  }

  forgetSegment(index: number): Promise<void> {
    return this.#run(async () => {
      const segment = this.#catalogue.segments.get(index);
      if (segment === undefined) return;
      invariant(segment.state === 'dead', `segment ${index} is dead before it is forgotten`);
      await this.#catalogue.forgetSegment(segment);
    });
  }

  /** Runs a change and then writes the copy. */
  andCopy<T>(change: () => Promise<T>): Promise<T> {
    return this.#run(async () => {
      const result = await change();
      await this.#writeCopy();
      return result;
    });
  }

  #run<T>(change: () => Promise<T>): Promise<T> {
    return this.turns.run(async () => {
      this.#assertOpen();
      return await change();
    });
  }

  #writeCopy(): Promise<void> {
    const { epochs, namespaces } = this.#catalogue;
    return writeCatalogueFile(this.#files, { epochs, namespaces: [...namespaces.values()] });
  }
}
