/**
 * Bounds of control between members, with the reason for each value. What a stranger can cost is bounded by the
 * first group, what a member can cost by the second.
 */

/** Connections that are not admitted yet, of all hosts and of one: a flood from one host leaves room for the others. */
export const PENDING_MAX = 64;
export const PENDING_PER_HOST_MAX = 16;
/** From accepting a connection to its admission; a stranger holds memory no longer. */
export const ADMISSION_MS = 3_000;
/** Frames before admission: none needs more than a cluster's name or a sentence. */
export const ADMISSION_FRAME_BYTES_MAX = 1024;
export const CLUSTER_BYTES_MAX = 128;
export const REFUSAL_BYTES_MAX = 512;

/** Connections of all members: a metadata service of 1,000 nodes with room to spare. */
export const CONNECTIONS_MAX = 4096;
/** Streams of one connection: one to ask and one to answer; a few more while one is being replaced. */
export const STREAMS_MAX = 8;
/** Bytes of a protocol's name. */
export const PROTOCOL_BYTES_MAX = 128;
/** Requests to one peer that are not settled, and their bytes: more are refused with `ERR_LIMIT`. */
export const CALLS_PER_PEER_MAX = 1024;
export const CALL_BYTES_PER_PEER_MAX: number = 16 * 1024 * 1024;
/**
 * Requests of one peer being answered, their bytes, and bytes of its answers not yet sent, above which its stream is
 * not read. Twice of what a peer may ask at once: only one that breaks the bounds above is ever kept waiting.
 */
export const ANSWERING_MAX: number = 2 * CALLS_PER_PEER_MAX;
export const ANSWERING_BYTES_MAX: number = 2 * CALL_BYTES_PER_PEER_MAX;
/** What a stream holds unread when it is paused; the window is smaller, so that a fair peer never exceeds it. */
export const READ_BUFFER_BYTES_MAX: number = 4 * 1024 * 1024;
export const STREAM_WINDOW_BYTES: number = 1024 * 1024;
/** Frames of one write: larger gains nothing, and would keep small ones waiting. */
export const WRITE_BYTES_MAX: number = 256 * 1024;

/** One address is tried so long before the next. */
export const DIAL_ADDRESS_MS = 3_000;
/** After a failed attempt the next waits so long, doubled each time up to the longest. */
export const BACKOFF_MS_MIN = 25;
export const BACKOFF_MS_MAX = 1_000;
/** A request waits for the next attempt when it is this near, else it is refused at once with the last reason. */
export const BACKOFF_WAIT_MS_MAX = 100;

/** A link on which nothing came for so long is asked for a sign of life. */
export const PING_IDLE_MS = 10_000;
/** How long that sign may take before the link counts as broken. */
export const PING_ANSWER_MS = 1_000;
/** The answering side drops a link on which nothing came for so long: its peer pings three times in it. */
export const SILENCE_MS = 35_000;
/** `stop` waits no longer for libp2p to let go of its sockets. */
export const STOP_MS = 2_000;
