/** The node's arena as a client maps it. */
export interface MappedArena {
  readonly sizeBytes: number;
  /** Mapped read-only: writing through them kills the process, as a stray pointer should. Panes of at most 1 GiB. */
  readonly readPanes: readonly Uint8Array[];
  /** The same memory, writable: for slots that the client has reserved. */
  readonly writePanes: readonly Uint8Array[];
  /** Detaches every pane; views on them become empty. */
  unmap(): void;
}

/** A shared-memory file of this process, which can be handed to a node as a region. */
export interface SharedRegion {
  /** Belongs to the region and is closed by `free`. */
  readonly fd: number;
  readonly sizeBytes: number;
  readonly panes: readonly Uint8Array[];
  readonly pageBytes: number;
  readonly pagesBy: 'hugetlb' | 'thp' | 'collapse' | 'none';
  free(): void;
}

/**
 * Shared memory as a client needs it; a collaborator of the client, implemented by native code. Calls fail with a
 * `RefillError` (`ERR_DEADLINE` past the deadline).
 */
export interface SharedMemory {
  /** Connects to the node's descriptor socket and maps its arena twice, to read and to write. */
  mapArena(fdSocketPath: string, options: { deadlineMs: number }): Promise<MappedArena>;
  /** Hands a descriptor to the node, which keeps it for 30 s under the 16-byte token. The caller keeps its own. */
  passFd(
    fdSocketPath: string,
    fd: number,
    token: Uint8Array,
    options: { deadlineMs: number },
  ): Promise<void>;
  /** New shared memory, rounded up to 2 MiB, with 2 MiB pages where the machine gives them. */
  create(bytes: number): Promise<SharedRegion>;
  /** CRC-64/NVME of the bytes, without an identity. */
  crc64(bytes: Uint8Array): bigint;
}
