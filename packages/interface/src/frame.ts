import { invariant } from './errors.ts';
import { FRAME_HEADER_WORDS, FRAME_WORD } from './wire.ts';

/**
 * A window on one frame inside a buffer: no copy, no object a frame. A reader moves one `Frame` along; it is valid
 * only during the callback that it is given to.
 */
export class Frame {
  /** Words of the buffer in which the frame lies. */
  words: Uint32Array;
  /** Word at which the header starts. */
  at: number;

  constructor(words: Uint32Array = new Uint32Array(FRAME_HEADER_WORDS), at = 0) {
    this.words = words;
    this.at = at;
  }

  get lengthBytes(): number {
    return this.words[this.at + FRAME_WORD.length]!;
  }
  get type(): number {
    return this.words[this.at + FRAME_WORD.kind]! & 0xffff;
  }
  get flags(): number {
    return this.words[this.at + FRAME_WORD.kind]! >>> 16;
  }
  get request(): number {
    return this.words[this.at + FRAME_WORD.request]!;
  }
  get deadlineMs(): number {
    return this.words[this.at + FRAME_WORD.deadlineMs]!;
  }
  get namespace(): number {
    return this.words[this.at + FRAME_WORD.namespace]!;
  }
  get count(): number {
    return this.words[this.at + FRAME_WORD.count]!;
  }
  get argument(): number {
    return this.words[this.at + FRAME_WORD.argument]!;
  }
  /** Bytes after the header, padding included. */
  get bodyBytes(): number {
    return this.lengthBytes - FRAME_HEADER_WORDS * 4;
  }
  /** Word at which the body starts. */
  get bodyAt(): number {
    return this.at + FRAME_HEADER_WORDS;
  }

  /** Words of the body, in place. */
  body(fromWord = 0, words: number = this.bodyBytes / 4 - fromWord): Uint32Array {
    const start = this.bodyAt + fromWord;
    invariant((fromWord + words) * 4 <= this.bodyBytes, 'a view stays within its frame');
    return this.words.subarray(start, start + words);
  }

  /** Bytes of the body, in place. */
  bytes(from = 0, length: number = this.bodyBytes - from): Uint8Array {
    invariant(from + length <= this.bodyBytes, 'a view stays within its frame');
    return new Uint8Array(this.words.buffer, this.words.byteOffset + this.bodyAt * 4 + from, length);
  }
}
