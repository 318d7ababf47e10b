import { RefillError } from '@refill/interface';

/**
 * A message is little-endian 32-bit words, like the rows it carries, so that keys and rows go in and out without an
 * object each. Numbers above 32 bits are two words, low first, up to 2^53. Text and bytes are a length in bytes and
 * then whole words, the last one filled up with zeros.
 */
export class WordWriter {
  #words: Uint32Array;
  #length = 0;

  constructor(capacity = 64) {
    this.#words = new Uint32Array(capacity);
  }

  /** Words written so far. */
  get length(): number {
    return this.#length;
  }

  word(value: number): this {
    this.#reserve(1);
    this.#words[this.#length++] = value;
    return this;
  }

  wide(value: number): this {
    this.#reserve(2);
    this.#words[this.#length++] = value >>> 0;
    this.#words[this.#length++] = Math.floor(value / 2 ** 32);
    return this;
  }

  words(values: Uint32Array): this {
    this.#reserve(values.length);
    this.#words.set(values, this.#length);
    this.#length += values.length;
    return this;
  }

  bytes(value: Uint8Array): this {
    this.word(value.length);
    const words = Math.ceil(value.length / 4);
    this.#reserve(words);
    new Uint8Array(this.#words.buffer, this.#length * 4, value.length).set(value);
    this.#length += words;
    return this;
  }

  text(value: string): this {
    return this.bytes(Buffer.from(value));
  }

  /** Room for `count` words, to be filled by the caller before anything else is written. */
  room(count: number): Uint32Array {
    this.#reserve(count);
    this.#length += count;
    return this.#words.subarray(this.#length - count, this.#length);
  }

  /** Overwrites a word that was written. */
  set(at: number, value: number): void {
    this.#words[at] = value;
  }

  /** What was written: a view on this writer, which is not used afterwards. */
  finishWords(): Uint32Array {
    return this.#words.subarray(0, this.#length);
  }

  /** The message: a view on this writer, which is not used afterwards. */
  finish(): Uint8Array {
    return new Uint8Array(this.#words.buffer, 0, this.#length * 4);
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#words.length) return;
    const larger = new Uint32Array(Math.max(this.#length + count, 2 * this.#words.length));
    larger.set(this.#words.subarray(0, this.#length));
    this.#words = larger;
  }
}

/** Takes a message apart. Whatever is cut short is `ERR_PROTOCOL`; views are valid as long as the message. */
export class WordReader {
  readonly #words: Uint32Array;
  #at = 0;

  constructor(body: Uint8Array | Uint32Array) {
    if (body instanceof Uint32Array) {
      this.#words = body;
      return;
    }
    if (body.length % 4 !== 0) throw malformed('its length is not of whole words');
    this.#words =
      body.byteOffset % 4 === 0
        ? new Uint32Array(body.buffer, body.byteOffset, body.length / 4)
        : new Uint32Array(body.slice().buffer);
  }

  /** Words that are left. */
  get left(): number {
    return this.#words.length - this.#at;
  }

  word(): number {
    if (this.left < 1) throw malformed('it is cut short');
    return this.#words[this.#at++]!;
  }

  wide(): number {
    const low = this.word();
    const high = this.word();
    if (high >= 2 ** 21) throw malformed('a number is above 2^53');
    return high * 2 ** 32 + low;
  }

  words(count: number): Uint32Array {
    if (count > this.left) throw malformed('it is cut short');
    this.#at += count;
    return this.#words.subarray(this.#at - count, this.#at);
  }

  bytes(bytesMax: number): Uint8Array {
    const length = this.word();
    if (length > bytesMax) throw malformed(`a field has ${length} bytes, at most ${bytesMax} are allowed`);
    const view = this.words(Math.ceil(length / 4));
    return new Uint8Array(view.buffer, view.byteOffset, length);
  }

  text(bytesMax: number): string {
    return Buffer.from(this.bytes(bytesMax)).toString();
  }

  /** A count of things of `words` words each, all of which must be there. */
  count(countMax: number, words: number): number {
    const count = this.word();
    if (count > countMax) throw malformed(`it lists ${count}, at most ${countMax} are allowed`);
    if (count * words > this.left) throw malformed('it is cut short');
    return count;
  }

  /** Refuses the message. */
  fail(why: string): never {
    throw malformed(why);
  }

  end(): void {
    if (this.left !== 0) throw malformed(`${this.left} words are left over`);
  }
}

function malformed(why: string): RefillError {
  return new RefillError('ERR_PROTOCOL', `a metadata message is malformed: ${why}`);
}
