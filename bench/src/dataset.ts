import { randomFillSync } from 'node:crypto';
import { type Fingerprint, KEY_BYTES, PAGE_BYTES } from '@refill/interface';

/** A 32-bit finaliser of good avalanche (Wellons, `hash-prospector`): keys must spread like digests. */
function mix(value: number): number {
  let x = Math.imul(value ^ (value >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}

export interface DatasetShape {
  blockBytes: number;
  count: number;
  /** Blocks of one prompt, each the parent of the next. */
  chainBlocks: number;
  /** Makes the keys of one data set differ from another's. */
  seed: number;
}

/** Blocks that all lanes of a scenario use: their keys in prompt order, packed, and what their bytes must be. */
export class Dataset {
  readonly shape: DatasetShape;
  /** `count` keys of 32 bytes. */
  readonly keys: Uint8Array;

  constructor(shape: DatasetShape) {
    this.shape = shape;
    const words = new Uint32Array((shape.count * KEY_BYTES) / 4);
    for (let i = 0; i < words.length; i++) words[i] = mix(mix(i + 1) ^ (shape.seed * 0x9e3779b9));
    this.keys = new Uint8Array(words.buffer);
  }

  get bytes(): number {
    return this.shape.count * this.shape.blockBytes;
  }

  key(index: number): Uint8Array {
    return this.keys.subarray(index * KEY_BYTES, (index + 1) * KEY_BYTES);
  }

  parent(index: number): Uint8Array | undefined {
    return index % this.shape.chainBlocks === 0 ? undefined : this.key(index - 1);
  }

  /** The keys in another order, packed again. */
  permuted(order: Uint32Array): Uint8Array {
    const packed = new Uint8Array(this.keys.length);
    for (let i = 0; i < order.length; i++) packed.set(this.key(order[i]!), i * KEY_BYTES);
    return packed;
  }

  fingerprint(): Fingerprint {
    return {
      name: `bench-${this.shape.seed}`,
      model: 'bench',
      dtype: 'bfloat16',
      layout: `opaque-${this.shape.blockBytes}`,
      tokensPerBlock: 16,
    };
  }
}

/** A random permutation of 0 .. count-1, the same for the same seed. */
export function permutation(count: number, seed: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = mix(mix(i) ^ mix(seed)) % (i + 1);
    const swap = order[i]!;
    order[i] = order[j]!;
    order[j] = swap;
  }
  return order;
}

/**
 * Bytes of blocks, made in the slots of a buffer that is used over and over: the same random bytes in every slot, so
 * that nothing compresses them, and the block's number at the start of every page, so that no two pages are equal
 * and a swapped or torn block is seen.
 */
export class Payload {
  readonly slots: number;
  readonly #memory: Uint8Array;
  readonly #blockBytes: number;
  readonly #words: Uint32Array;

  constructor(memory: Uint8Array, blockBytes: number) {
    this.#memory = memory;
    this.slots = Math.floor(memory.length / blockBytes);
    this.#blockBytes = blockBytes;
    this.#words = new Uint32Array(memory.buffer, memory.byteOffset, memory.length >> 2);
    randomFillSync(memory.subarray(0, blockBytes));
    for (let slot = 1; slot < this.slots; slot++) memory.copyWithin(slot * blockBytes, 0, blockBytes);
  }

  /** Makes `slot` hold block `index`. Returns the slot's offset in the memory. */
  stamp(slot: number, index: number): number {
    const offset = slot * this.#blockBytes;
    for (let at = 0; at < this.#blockBytes; at += PAGE_BYTES) this.#words[(offset + at) >> 2] = index;
    return offset;
  }

  /** Throws unless `bytes` is exactly block `index`. Uses slot 0. */
  verify(index: number, bytes: Uint8Array): void {
    this.stamp(0, index);
    if (Buffer.compare(bytes, this.#memory.subarray(0, this.#blockBytes)) !== 0)
      throw new Error(`block ${index} came back with other bytes`);
  }
}
