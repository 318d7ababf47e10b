/**
 * Memory shared between processes of one machine. The client gets its implementation injected, like the store gets
 * its `BlockIO`: both come from `native-io`.
 */
export interface SharedMemory {
  /** Maps a node's arena through its fd socket, once for reading and once for writing. */
  mapArena(fdSocketPath: string, options: { deadlineMs: number }): Promise<MappedArena>;
  /** Hands a file descriptor to the node, which keeps it under `token` (16 bytes) for 30 s. */
  passFd(fdSocketPath: string, fd: number, token: Uint8Array, options: { deadlineMs: number }): Promise<void>;
  /** New shared memory, 2 MiB pages where the machine has them; freed by `free` or with the process. */
  create(sizeBytes: number): SharedBuffer;
}

export interface MappedArena {
  readonly sizeBytes: number;
  /** Mapped for reading only: a stray write through a view ends the process rather than another client's data. */
  readonly readPanes: readonly Uint8Array[];
  /** Mapped for reading and writing, for reserved slots. */
  readonly writePanes: readonly Uint8Array[];
  /** Unmaps. Views made of the panes must not be used afterwards. */
  unmap(): void;
}

export interface SharedBuffer {
  readonly fd: number;
  readonly sizeBytes: number;
  /** Panes of at most 1 GiB. */
  readonly panes: readonly Uint8Array[];
  /** Page size behind it, bytes. */
  readonly pageBytes: number;
  free(): void;
}
