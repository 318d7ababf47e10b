import { invariant, PAGE_BYTES, type SegmentRecord, type SegmentState } from '@refill/interface';
import { pagesUp } from '../segment/segment-bytes.ts';
import { ENTRY_BYTES, FOOTER_HEAD_WORDS } from '../segment/segment-format.ts';

/** One file of the tier. */
export type NvmeSegment = { -readonly [K in keyof SegmentRecord]: SegmentRecord[K] } & {
  /** Entries that were made for it; those that have gone since are among them. */
  ids: number[];
  /** Bytes read from it, halved at every eviction. */
  readBytes: number;
  /** Bytes of the disk that it counts for. */
  takenBytes: number;
};

/** The files of the tier, oldest first, and the bytes that they take. */
export class NvmeSegments {
  readonly capacityBytes: number;
  readonly #segments = new Map<number, NvmeSegment>();
  #next = 1;
  #usedBytes = 0;

  constructor(capacityBytes: number) {
    this.capacityBytes = capacityBytes;
  }

  /** Bytes on the disk, an open file counted whole; a dead one counts until it is unlinked. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  hasRoom(bytes: number): boolean {
    return this.#usedBytes + bytes <= this.capacityBytes;
  }

  get count(): number {
    return this.#segments.size;
  }

  get all(): NvmeSegment[] {
    return [...this.#segments.values()];
  }

  get(index: number): NvmeSegment | undefined {
    return this.#segments.get(index);
  }

  add(record: Pick<SegmentRecord, 'id' | 'namespace' | 'node' | 'epoch' | 'sizeBytes'>): NvmeSegment {
    const { id, namespace, node, epoch, sizeBytes } = record;
    const counts = { endBytes: 0, liveBlocks: 0, liveBytes: 0, ids: [], readBytes: 0, takenBytes: sizeBytes };
    const segment: NvmeSegment = {
      ...{ id, namespace, node, epoch, sizeBytes, ...counts },
      index: this.#next++,
      state: 'open',
    };
    this.#segments.set(segment.index, segment);
    this.#usedBytes += sizeBytes;
    return segment;
  }

  move(segment: NvmeSegment, to: SegmentState, endBytes: number): void {
    segment.state = to;
    segment.endBytes = endBytes;
    const takenBytes = closedBytes(segment);
    this.#usedBytes += takenBytes - segment.takenBytes;
    segment.takenBytes = takenBytes;
  }

  forget(index: number): void {
    const segment = this.#segments.get(index);
    if (segment === undefined) return;
    invariant(segment.state === 'dead', 'only a dead segment is forgotten');
    this.#segments.delete(index);
    this.#usedBytes -= segment.takenBytes;
  }

  /**
   * The file to give up: of the older half of those that are closed the one that was read least since the last times,
   * the oldest of equals. A newcomer so gets the time to be read, and one that is read stays. Reads count half from
   * now on.
   */
  coldest(): NvmeSegment | undefined {
    const closed = this.all.filter(({ state }) => state === 'sealed' || state === 'abandoned');
    let coldest: NvmeSegment | undefined;
    for (const segment of closed.slice(0, Math.ceil(closed.length / 2))) {
      if (coldest === undefined || segment.readBytes < coldest.readBytes) coldest = segment;
    }
    for (const segment of closed) segment.readBytes = Math.floor(segment.readBytes / 2);
    return coldest;
  }
}

/** Of a closed file what was written, its footer and trailer; the rest of it is a hole. */
function closedBytes({ sizeBytes, endBytes, ids }: NvmeSegment): number {
  const footerBytes = pagesUp(ids.length * (ENTRY_BYTES + FOOTER_HEAD_WORDS * 4)) + PAGE_BYTES;
  return Math.min(sizeBytes, endBytes + footerBytes);
}
