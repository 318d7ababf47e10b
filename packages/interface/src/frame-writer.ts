import { invariant } from './errors.ts';
import { FRAME_HEADER_BYTES, FRAME_HEADER_WORDS, FRAME_WORD, padded } from './wire.ts';

/** One allocation serves some hundred small frames; it is never rewound, so a socket may keep its parts. */
const SLAB_BYTES = 64 * 1024;

/**
 * Makes outgoing frames in place. Memory is cut off a slab and never reused: zeroed when given, and safe to leave
 * with the socket (or with a call that has not settled) for as long as it takes.
 *
 * `begin` a frame, fill `words` from `bodyAt`, then `end` it. Frames may be ended in any order, also long after
 * others; frames ended in the order of their beginning leave as one part.
 */
export class FrameWriter {
  /** Words in which the frame begun last lies. Keep this reference to end the frame later. */
  words: Uint32Array = new Uint32Array(SLAB_BYTES / 4);
  #slab = this.words;
  #tail = 0;
  readonly #parts: Uint8Array[] = [];
  /** The run of frames that is still growing. */
  #run: Uint32Array | undefined;
  #runStart = 0;
  #runEnd = 0;
  #queuedBytes = 0;

  /** Bytes that were ended and not taken yet. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Room for a frame; answers the word at which its header starts. `bodyBytes` is padded to 8. */
  begin(bodyBytes: number): number {
    const bytes = FRAME_HEADER_BYTES + padded(bodyBytes);
    const words = bytes / 4;
    if (bytes > SLAB_BYTES / 4) {
      this.words = new Uint32Array(words);
      this.words[FRAME_WORD.length] = bytes;
      return 0;
    }
    if (this.#tail + words > this.#slab.length) {
      this.#slab = new Uint32Array(SLAB_BYTES / 4);
      this.#tail = 0;
    }
    this.words = this.#slab;
    const at = this.#tail;
    this.#tail += words;
    this.words[at + FRAME_WORD.length] = bytes;
    return at;
  }

  /** Completes the header of a frame and queues it. The length was set by `begin`. */
  end(
    words: Uint32Array,
    at: number,
    type: number,
    flags: number,
    request: number,
    deadlineMs: number,
    namespace: number,
    count: number,
    argument: number,
  ): void {
    words[at + FRAME_WORD.kind] = type | (flags << 16);
    words[at + FRAME_WORD.request] = request;
    words[at + FRAME_WORD.deadlineMs] = deadlineMs;
    words[at + FRAME_WORD.namespace] = namespace;
    words[at + FRAME_WORD.count] = count;
    words[at + FRAME_WORD.argument] = argument;
    const bytes = words[at + FRAME_WORD.length]!;
    this.#queuedBytes += bytes;
    if (this.#run !== words || this.#runEnd !== at) {
      this.#closeRun();
      this.#run = words;
      this.#runStart = at;
    }
    this.#runEnd = at + bytes / 4;
  }

  /** Takes the parts to write, in order, and forgets them. */
  take(): Uint8Array[] {
    this.#closeRun();
    this.#queuedBytes = 0;
    return this.#parts.splice(0);
  }

  #closeRun(): void {
    if (this.#run === undefined) return;
    const { buffer } = this.#run;
    this.#parts.push(new Uint8Array(buffer, this.#runStart * 4, (this.#runEnd - this.#runStart) * 4));
    this.#run = undefined;
  }
}

const utf8 = new TextEncoder();

/** Copies bytes into the body of a frame that was begun, `fromByte` bytes into the body. */
export function fillBytes(words: Uint32Array, at: number, bytes: Uint8Array, fromByte = 0): void {
  const room = words[at + FRAME_WORD.length]! - FRAME_HEADER_BYTES;
  invariant(fromByte + bytes.length <= room, 'a body fits the frame that was begun for it');
  new Uint8Array(words.buffer, (at + FRAME_HEADER_WORDS) * 4 + fromByte, bytes.length).set(bytes);
}

/** UTF-8 of text or, of anything else, of its JSON. */
export function utf8Of(value: unknown): Uint8Array {
  return utf8.encode(typeof value === 'string' ? value : JSON.stringify(value));
}
