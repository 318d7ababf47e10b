import { invariant, type MappedArena } from '@refill/interface';

/**
 * The node's arena as this process has it mapped. It outlives its connection while views or reservations are held,
 * because memory that somebody still looks at must not be unmapped.
 */
export class Arena {
  readonly mapped: MappedArena;
  #holders = 1;

  constructor(mapped: MappedArena) {
    this.mapped = mapped;
  }

  hold(): void {
    invariant(this.#holders > 0, 'an unmapped arena gets no new holder');
    this.#holders++;
  }

  drop(): void {
    this.#holders--;
    invariant(this.#holders >= 0, 'an arena is dropped once by each holder');
    if (this.#holders === 0) this.mapped.unmap();
  }

  /** Bytes for reading. No copy. */
  read(pane: number, offsetBytes: number, lengthBytes: number): Uint8Array {
    return window(this.mapped.readPanes, pane, offsetBytes, lengthBytes);
  }

  /** Bytes of a reserved slot, for writing. */
  write(pane: number, offsetBytes: number, lengthBytes: number): Uint8Array {
    return window(this.mapped.writePanes, pane, offsetBytes, lengthBytes);
  }
}

function window(
  panes: readonly Uint8Array[],
  pane: number,
  offsetBytes: number,
  lengthBytes: number,
): Uint8Array {
  const memory = panes[pane];
  invariant(
    memory !== undefined && offsetBytes + lengthBytes <= memory.length,
    'a row lies within the arena',
  );
  return new Uint8Array(memory.buffer, memory.byteOffset + offsetBytes, lengthBytes);
}
