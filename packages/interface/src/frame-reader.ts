import { RefillError } from './errors.ts';
import { Frame } from './frame.ts';
import { FRAME_BYTES_MAX } from './limits.ts';
import { FRAME_HEADER_BYTES } from './wire.ts';

/** Memory that is kept for assembling; a longer frame gets memory of its own, which goes with it. */
const ASSEMBLY_BYTES = 4096;
const NOTHING = new Uint32Array(0);

/**
 * Cuts a byte stream into frames, wherever its chunks begin and end. A frame that lies whole and aligned in a chunk
 * is handed out in place; any other is assembled in one buffer. Lengths are judged before memory is allocated, so a
 * peer makes a reader hold at most one frame.
 */
export class FrameReader {
  readonly #onFrame: (frame: Frame) => void;
  readonly #frameBytesMax: number;
  readonly #frame = new Frame();
  /** Words over the memory of the latest chunk: a socket that reads into one buffer makes this view once. */
  #chunkWords: Uint32Array = NOTHING;
  #assembly = NOTHING;
  #assemblyBytes = new Uint8Array(0);
  /** Bytes of a frame that have been assembled, and how many it needs (0 until its header is complete). */
  #filled = 0;
  #needed = 0;
  #failed: RefillError | undefined;

  constructor(onFrame: (frame: Frame) => void, options: { frameBytesMax?: number } = {}) {
    this.#onFrame = onFrame;
    this.#frameBytesMax = options.frameBytesMax ?? FRAME_BYTES_MAX;
  }

  /** Bytes of an incomplete frame; more than 0 at the end of a stream means that it was truncated. */
  get pendingBytes(): number {
    return this.#filled;
  }

  /** Bytes allocated for assembling. */
  get heldBytes(): number {
    return this.#assemblyBytes.length;
  }

  /**
   * Takes the next bytes of the stream and calls back for every frame that they complete. The chunk may be reused
   * when this returns, unless a callback kept views of it. Throws `ERR_PROTOCOL` for a length that cannot be; after
   * that the stream has no meaning any more and every call throws the same. `end` is where the bytes end, when the
   * chunk is a buffer that was filled in part.
   */
  push(chunk: Uint8Array, end: number = chunk.length): void {
    if (this.#failed !== undefined) throw this.#failed;
    let at = 0;
    while (at < end) {
      if (this.#filled > 0 || (chunk.byteOffset + at) % 8 !== 0 || end - at < FRAME_HEADER_BYTES) {
        at = this.#assemble(chunk, at, end);
        continue;
      }
      const words = this.#wordsOf(chunk.buffer);
      const word = (chunk.byteOffset + at) / 4;
      const length = this.#check(words[word]!);
      if (end - at < length) {
        at = this.#assemble(chunk, at, end);
        continue;
      }
      this.#hand(words, word);
      at += length;
    }
  }

  /**
   * Called while a frame is handed out: its memory is kept by the callee and will not be written again. False when
   * that memory is the chunk's, for which whoever pushed it has to care.
   */
  giveAway(): boolean {
    if (this.#frame.words !== this.#assembly) return false;
    this.#assembly = NOTHING;
    this.#assemblyBytes = new Uint8Array(0);
    return true;
  }

  #hand(words: Uint32Array, at: number): void {
    this.#frame.words = words;
    this.#frame.at = at;
    this.#onFrame(this.#frame);
  }

  /** Words over the memory of a chunk, from its start: a chunk may begin anywhere in it. */
  #wordsOf(buffer: ArrayBufferLike): Uint32Array {
    if (this.#chunkWords.buffer !== buffer)
      this.#chunkWords = new Uint32Array(buffer, 0, buffer.byteLength >>> 2);
    return this.#chunkWords;
  }

  /** Moves bytes of one frame into the assembly; answers where the rest of the chunk starts. */
  #assemble(chunk: Uint8Array, at: number, end: number): number {
    const goal = this.#needed === 0 ? FRAME_HEADER_BYTES : this.#needed;
    if (this.#assemblyBytes.length < goal) this.#grow(Math.max(goal, ASSEMBLY_BYTES));
    const take = Math.min(goal - this.#filled, end - at);
    this.#assemblyBytes.set(chunk.subarray(at, at + take), this.#filled);
    this.#filled += take;
    if (this.#filled < goal) return at + take;
    if (this.#needed === 0) {
      this.#needed = this.#check(this.#assembly[0]!);
      if (this.#needed > FRAME_HEADER_BYTES) return at + take;
    }
    this.#filled = 0;
    this.#needed = 0;
    this.#hand(this.#assembly, 0);
    if (this.#assemblyBytes.length > ASSEMBLY_BYTES) this.giveAway();
    return at + take;
  }

  #grow(bytes: number): void {
    const words = new Uint32Array(bytes / 4);
    const grown = new Uint8Array(words.buffer);
    grown.set(this.#assemblyBytes.subarray(0, this.#filled));
    this.#assembly = words;
    this.#assemblyBytes = grown;
  }

  #check(length: number): number {
    if (length >= FRAME_HEADER_BYTES && length <= this.#frameBytesMax && length % 8 === 0) return length;
    this.#failed = new RefillError(
      'ERR_PROTOCOL',
      `a frame says it is ${length} bytes; lengths are multiples of 8 from ${FRAME_HEADER_BYTES} to ${this.#frameBytesMax}`,
    );
    throw this.#failed;
  }
}
