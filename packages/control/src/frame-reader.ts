import { RefillError } from '@refill/interface';
import { ADMISSION_FRAME_BYTES_MAX } from './bounds.ts';
import { type Frame, HEADER_BYTES } from './frame.ts';

/**
 * Cuts a stream of bytes into frames. A body is copied into a buffer of its own, at its beginning: it belongs to whom
 * it is given, and rows in it are aligned. Nothing is allocated for a frame before its header was found good.
 */
export class FrameReader {
  /** Longest frame taken; raised by admission. */
  maxBytes: number = ADMISSION_FRAME_BYTES_MAX;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  #name = Buffer.alloc(0);
  #nameBytes = 0;
  #body = new Uint8Array(0);
  #bodyBytes = 0;

  /** Calls `take` for every frame that is complete with these bytes. `ERR_PROTOCOL` when they are no frame. */
  push(chunk: Uint8Array, take: (frame: Frame) => void): void {
    let at = 0;
    for (;;) {
      if (this.#headerBytes < HEADER_BYTES) {
        const size = Math.min(HEADER_BYTES - this.#headerBytes, chunk.length - at);
        this.#header.set(chunk.subarray(at, at + size), this.#headerBytes);
        this.#headerBytes += size;
        at += size;
        if (this.#headerBytes < HEADER_BYTES) return;
        this.#begin();
      }
      at += this.#fill(chunk, at);
      if (this.#nameBytes < this.#name.length || this.#bodyBytes < this.#body.length) return;
      this.#headerBytes = 0;
      take({
        kind: this.#header[4]!,
        id: this.#header.readUInt32LE(8),
        argument: this.#header.readUInt32LE(12),
        name: this.#name.toString('latin1'),
        body: this.#body,
      });
      if (at === chunk.length) return;
    }
  }

  /** Makes room for what the header announces. */
  #begin(): void {
    const length = this.#header.readUInt32LE(0);
    const nameBytes = this.#header[5]!;
    if (length > this.maxBytes || length < HEADER_BYTES + nameBytes || this.#header.readUInt16LE(6) !== 0) {
      throw new RefillError(
        'ERR_PROTOCOL',
        `what came is no control frame, or longer than ${this.maxBytes} bytes`,
      );
    }
    if (this.#name.length !== nameBytes) this.#name = Buffer.alloc(nameBytes);
    this.#body = new Uint8Array(length - HEADER_BYTES - nameBytes);
    this.#nameBytes = 0;
    this.#bodyBytes = 0;
  }

  #fill(chunk: Uint8Array, from: number): number {
    const nameBytes = Math.min(this.#name.length - this.#nameBytes, chunk.length - from);
    if (nameBytes > 0) this.#name.set(chunk.subarray(from, from + nameBytes), this.#nameBytes);
    this.#nameBytes += nameBytes;
    const at = from + nameBytes;
    const bodyBytes = Math.min(this.#body.length - this.#bodyBytes, chunk.length - at);
    if (bodyBytes > 0) this.#body.set(chunk.subarray(at, at + bodyBytes), this.#bodyBytes);
    this.#bodyBytes += bodyBytes;
    return nameBytes + bodyBytes;
  }
}
