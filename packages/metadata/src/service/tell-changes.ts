import {
  putMember,
  putMemberGone,
  putNamespace,
  putRemoved,
  putSegment,
  putSegmentGone,
} from '../protocol/catalogue-changes.ts';
import { ANSWER, type Stamp } from '../protocol/message.ts';
import { WordWriter } from '../protocol/words.ts';
import { CHANGE } from './change-log.ts';
import type { ServiceCore } from './service-core.ts';

/** Changes of one answer, 256 KiB: with a full answer of locations they stay below `CONTROL_BYTES_MAX`. */
const CHANGES_WORDS_MAX = 65_536;
/** Longest single change, in words. */
const CHANGE_WORDS_MAX = 8192;

export interface Told {
  flags: number;
  /** What the node knows once it has applied the words. */
  now: Stamp;
  words: Uint32Array;
}

const NONE = new Uint32Array(0);

/** What changed since the requester last heard, so that its catalogue is at least as new as the answer. */
export function tellChanges(core: ServiceCore, known: Stamp): Told {
  const { changes, incarnation } = core.directory;
  const now = { session: core.session, version: changes.version, incarnation };
  if (known.session !== now.session || known.incarnation !== incarnation || known.version < changes.oldest)
    return { flags: ANSWER.copy, now, words: NONE };
  if (known.version >= now.version) return { flags: 0, now, words: NONE };
  const writer = new WordWriter();
  let flags = 0;
  let version = known.version;
  const told = new Set<number>();
  while (version < now.version) {
    if (writer.length > CHANGES_WORDS_MAX - CHANGE_WORDS_MAX) {
      flags |= ANSWER.more;
      break;
    }
    version++;
    if (!tell(core, writer, version, told)) flags |= ANSWER.dropLocations;
  }
  return { flags, now: { ...now, version }, words: writer.finishWords() };
}

/** Tells one change; false when it was a removal that is forgotten. State is told once, as it is now. */
function tell(core: ServiceCore, writer: WordWriter, version: number, told: Set<number>): boolean {
  const { directory, leases } = core;
  const kind = directory.changes.kindOf(version);
  const index = directory.changes.indexOf(version);
  if (kind === CHANGE.removed) {
    const removal = directory.changes.removed(index);
    if (removal !== undefined) putRemoved(writer, removal);
    return removal !== undefined;
  }
  const id = index * 4 + kind;
  if (told.has(id)) return true;
  told.add(id);
  if (kind === CHANGE.segment) {
    const segment = directory.segment(index);
    if (segment === undefined) putSegmentGone(writer, index);
    else putSegment(writer, segment);
  } else if (kind === CHANGE.namespace) {
    const namespace = directory.namespace(index);
    if (namespace !== undefined) putNamespace(writer, namespace);
  } else {
    const member = leases.member(index);
    if (member === undefined) putMemberGone(writer, index);
    else putMember(writer, member);
  }
  return true;
}

/**
 * One page of a whole copy: members and namespaces on the first, then segments from index `from` on. `base` is the
 * version as of the first page: changes since then are told afterwards. Returns the index to go on from, -1 at the end.
 */
export function tellCopy(core: ServiceCore, from: number): { next: number; words: Uint32Array } {
  const { directory, leases } = core;
  const writer = new WordWriter();
  if (from === 0) {
    for (const member of leases.members) putMember(writer, member);
    for (const namespace of directory.namespaces()) putNamespace(writer, namespace);
  }
  const segments = directory
    .segments()
    .filter(({ index }) => index >= from)
    .sort((a, b) => a.index - b.index);
  const roomUntil = writer.length + CHANGES_WORDS_MAX;
  for (const segment of segments) {
    if (writer.length > roomUntil) return { next: segment.index, words: writer.finishWords() };
    putSegment(writer, segment);
  }
  return { next: -1, words: writer.finishWords() };
}
