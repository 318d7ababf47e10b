/**
 * Every bound of the system, with the reason for its value. Encoders, decoders, allocators and the command line
 * take their numbers from here; the assertions at the end relate them to one another and run at import.
 */

/** A key is a digest; longer engine keys are hashed by the client (see `keyOf`). */
export const KEY_BYTES = 32;

/** Smallest block is one byte: a short tail of a prompt is still worth keeping. */
export const BLOCK_BYTES_MIN = 1;

/** Largest block. 256 MiB is 32 times the largest block in use (1,024 tokens of a 70B model a rank). */
export const BLOCK_BYTES_MAX: number = 256 * 1024 * 1024;

/** Granule of the arena allocator: below 64 KiB scattered I/O loses the gain of large pages. */
export const SLOT_UNIT_BYTES: number = 64 * 1024;

/** Alignment of everything on the shared file system: the largest DIO alignment met in practice. */
export const PAGE_BYTES = 4096;

/** Alignment of arena mappings: one huge page. */
export const HUGE_PAGE_BYTES: number = 2 * 1024 * 1024;

/** The arena is cut into panes: io_uring registers at most 1 GiB an iovec, an ArrayBuffer is at most 4 GiB. */
export const PANE_BYTES: number = 1024 * 1024 * 1024;

/** Longest list of keys in one call: agentic prompts reference up to 14,000 blocks. */
export const KEYS_PER_CALL_MAX = 16_384;

/** Longest control frame: a full list of keys with its block descriptions, rounded up. */
export const FRAME_BYTES_MAX: number = 2 * 1024 * 1024;

/** Blocks described by one batch header; with payloads of 64 KiB this is 16 MiB a batch. */
export const BATCH_BLOCKS_MAX = 256;

/** Smallest segment that may be configured; it must hold a header, one largest block and a footer. */
export const SEGMENT_BYTES_MIN: number = 8 * 1024 * 1024;

/** Size of a new segment unless configured: large enough that a million 64 KiB blocks are 61 files. */
export const SEGMENT_BYTES_DEFAULT: number = 1024 * 1024 * 1024;

/** Largest segment: an offset in pages fits 32 bits with room to spare. */
export const SEGMENT_BYTES_MAX: number = 64 * 1024 * 1024 * 1024;

/** A fingerprint travels whole in the segment header's single page. */
export const FINGERPRINT_BYTES_MAX = 3072;

/** Namespaces a root may hold; the index of a namespace fits 16 bits in the block index. */
export const NAMESPACES_MAX = 65_535;

/** Regions one client may register. */
export const REGIONS_PER_CLIENT_MAX = 64;

/** Operations in one I/O batch; a batch is one hop to a worker and one fill of its ring. */
export const IO_BATCH_OPS_MAX = 1024;

/** Default deadline of a call. An engine treats slow as worse than a miss. */
export const DEADLINE_MS_DEFAULT = 5_000;

/** Longest deadline that may be asked for: a cut network hangs I/O for tens of seconds. */
export const DEADLINE_MS_MAX = 600_000;

/** Fill leases that one node may hold: four full calls of keys. */
export const FILLS_PER_NODE_MAX = 65_536;

/** Life of a fill lease unless given: most prefills are done by then, and a dead holder costs no more. */
export const FILL_LIFE_MS_DEFAULT = 30_000;

/** Longest life of a fill lease: a prefill of the longest prompts. */
export const FILL_LIFE_MS_MAX = 120_000;

/** Longest life that a put may ask for, 30 days: a cache whose blocks live longer has no use for a life. */
export const PUT_TTL_MS_MAX: number = 30 * 24 * 3600 * 1000;

/** Blocks of one node that have a life (`ttlMs`): some 100 bytes each. Beyond it the hint is not honoured. */
export const TTL_BLOCKS_MAX: number = 1024 * 1024;

/** Most nodes that shall have a block in DRAM: hotter ones spread by being read. */
export const PUT_REPLICAS_MAX = 16;

/** Most bytes of hot blocks that a leaving node asks others to hold. */
export const HOT_BYTES_MAX: number = 16 * 1024 ** 4;
export const HOT_BYTES_DEFAULT: number = 1024 ** 3;

/** Most nodes that one `locate` names: a router chooses among few, and the answer stays small. */
export const LOCATE_NODES_MAX = 64;
export const LOCATE_NODES_DEFAULT = 16;

function relate(holds: boolean, what: string): void {
  if (!holds) throw new Error(`limits.ts contradicts itself: ${what}`);
}

relate(PANE_BYTES % HUGE_PAGE_BYTES === 0, 'a pane is a whole number of huge pages');
relate(HUGE_PAGE_BYTES % SLOT_UNIT_BYTES === 0, 'a huge page is a whole number of slot units');
relate(SLOT_UNIT_BYTES % PAGE_BYTES === 0, 'a slot unit is a whole number of pages');
relate(BLOCK_BYTES_MAX <= PANE_BYTES, 'the largest block fits one pane');
relate(KEYS_PER_CALL_MAX * 96 <= FRAME_BYTES_MAX, 'a full call of described keys fits a frame');
relate(KEYS_PER_CALL_MAX <= FILLS_PER_NODE_MAX, 'one call may take a fill lease of every key');
relate(FILL_LIFE_MS_DEFAULT <= FILL_LIFE_MS_MAX, 'the default life of a fill lease may be asked for');
relate(PUT_TTL_MS_MAX < 2 ** 32, 'a life in milliseconds fits a word');
relate(SEGMENT_BYTES_MAX / PAGE_BYTES < 2 ** 32, 'a page offset in a segment fits 32 bits');
