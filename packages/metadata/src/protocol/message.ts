import { type WordReader, WordWriter } from './words.ts';

/** Name of the protocol on the control network; the number is its version. */
export const METADATA_PROTOCOL = '/refill/metadata/1';

/** First word of a request. Numbers never change meaning. */
export const MESSAGE = {
  join: 1,
  heartbeat: 2,
  leave: 3,
  sync: 4,
  lookup: 5,
  matchPrefix: 6,
  commit: 7,
  remove: 8,
  removeAt: 9,
  acquireEpoch: 10,
  openNamespace: 11,
  createSegment: 12,
  moveSegment: 13,
  forgetSegment: 14,
  reset: 15,
  checkpoint: 16,
  locate: 17,
  acquireFills: 18,
  awaitFills: 19,
  releaseFills: 20,
} as const;

/** Flags of an answer. */
export const ANSWER = {
  /** There are more changes than this answer holds: ask by `sync` before the answer is handed on. */
  more: 1,
  /** The requester's catalogue is of another life of the service, or too old: it takes a whole copy by `sync`. */
  copy: 2,
  /** More keys were removed than the service remembers: every cached location goes. */
  dropLocations: 4,
} as const;

/**
 * What a node knows and a service has: `session` is one life of the service, `version` counts the changes of the
 * catalogue in it, `incarnation` is the directory's, whose indexes of segments and namespaces mean nothing in another.
 */
export interface Stamp {
  session: number;
  version: number;
  incarnation: number;
}

export const HEAD_WORDS = 8;

/** `type, session(2), version(2), incarnation(2), 0`: the head of a request. */
export function startRequest(type: number, known: Stamp, capacity = 64): WordWriter {
  return stamped(new WordWriter(HEAD_WORDS + capacity).word(type), known).word(0);
}

export function readRequestHead(reader: WordReader): { type: number; known: Stamp } {
  const type = reader.word();
  const known = readStamp(reader);
  reader.word();
  return { type, known };
}

/** `flags, session(2), version(2), incarnation(2), words of changes`: the head of an answer. */
export function startAnswer(flags: number, now: Stamp, changes: Uint32Array, bodyWords: number): WordWriter {
  const writer = new WordWriter(HEAD_WORDS + changes.length + bodyWords);
  return stamped(writer.word(flags), now).word(changes.length).words(changes);
}

export function readAnswerHead(reader: WordReader): { flags: number; now: Stamp; changes: Uint32Array } {
  const flags = reader.word();
  const now = readStamp(reader);
  return { flags, now, changes: reader.words(reader.word()) };
}

function stamped(writer: WordWriter, { session, version, incarnation }: Stamp): WordWriter {
  return writer.wide(session).wide(version).wide(incarnation);
}

function readStamp(reader: WordReader): Stamp {
  const session = reader.wide();
  const version = reader.wide();
  return { session, version, incarnation: reader.wide() };
}

/** Bounds of the fields of messages. */
export const NODE_NAME_BYTES_MAX = 256;
export const MEMBER_BYTES_MAX = 4096;
export const NAMESPACE_BYTES_MAX = 16_384;

/** What became of a heartbeat. */
export const HEARTBEAT_STATUS = {
  renewed: 0,
  /** The service has no such lease (any more, or yet): join, under the same epoch if that is still the current one. */
  unknown: 1,
} as const;

export const HEARTBEAT_FLAG = { draining: 1 } as const;

/** Notes of residency in one heartbeat: 8 bytes each. */
export const RESIDENCY_NOTES_MAX = 32_768;
/** Uses of index entries in one heartbeat: 4 bytes each. */
export const TOUCHES_MAX = 16_384;
/** Namespaces whose counts a heartbeat is answered with. */
export const COUNTED_MAX = 1024;
/** Segments that one answer names for reclaiming. */
export const RECLAIM_MAX = 1024;
