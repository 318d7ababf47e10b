import {
  type ClusterMember,
  completeFingerprint,
  KEY_WORDS,
  type NamespacePolicy,
  type NamespaceRecord,
  namespaceId,
  SEGMENT_ID_BYTES,
  type SegmentRecord,
  type SegmentState,
} from '@refill/interface';
import { decodeSmall, encodeSmall, type NamespaceFields } from '../record.ts';
import { MEMBER_BYTES_MAX, NAMESPACE_BYTES_MAX, NODE_NAME_BYTES_MAX } from './message.ts';
import type { WordReader, WordWriter } from './words.ts';

/** First word of a change. What is told is the state as it is now, not a difference: telling it twice does no harm. */
const KIND = { namespace: 1, segment: 2, segmentGone: 3, member: 4, memberGone: 5, removed: 6 } as const;

const STATES: readonly SegmentState[] = ['open', 'sealed', 'abandoned', 'dead'];

export function putNamespace(writer: WordWriter, namespace: NamespaceRecord): void {
  const { index, fingerprint, policy, blocks, bytes } = namespace;
  writer.word(KIND.namespace).wide(blocks).wide(bytes).bytes(encodeSmall({ index, fingerprint, policy }));
}

export function putSegment(writer: WordWriter, segment: SegmentRecord): void {
  const { index, namespace, state, epoch, sizeBytes, endBytes, liveBlocks, liveBytes, id, node } = segment;
  writer.word(KIND.segment).word(index).word(namespace).word(STATES.indexOf(state));
  writer.wide(epoch).wide(sizeBytes).wide(endBytes).wide(liveBlocks).wide(liveBytes).bytes(id).text(node);
}

export function putSegmentGone(writer: WordWriter, index: number): void {
  writer.word(KIND.segmentGone).word(index);
}

export function putMember(writer: WordWriter, member: ClusterMember): void {
  const { slot, node, epoch, control, dataAddress, state } = member;
  writer.word(KIND.member).bytes(encodeSmall({ slot, node, epoch, control, dataAddress, state }));
}

export function putMemberGone(writer: WordWriter, slot: number): void {
  writer.word(KIND.memberGone).word(slot);
}

/** `removal` is a namespace and a key. */
export function putRemoved(writer: WordWriter, removal: Uint32Array): void {
  writer.word(KIND.removed).words(removal);
}

/** Where changes go on a node. */
export interface ChangeTarget {
  namespace(record: NamespaceRecord): void;
  segment(record: SegmentRecord): void;
  segmentGone(index: number): void;
  member(member: ClusterMember): void;
  memberGone(slot: number): void;
  removed(namespace: number, key: Uint32Array): void;
}

/** Tells all changes to the target. `ERR_PROTOCOL` for what this version does not know. */
export function applyChanges(reader: WordReader, target: ChangeTarget): void {
  while (reader.left > 0) applyChange(reader, target);
}

function applyChange(reader: WordReader, target: ChangeTarget): void {
  const kind = reader.word();
  if (kind === KIND.segment) target.segment(readSegment(reader));
  else if (kind === KIND.removed) target.removed(reader.word(), reader.words(KEY_WORDS));
  else if (kind === KIND.segmentGone) target.segmentGone(reader.word());
  else if (kind === KIND.namespace) target.namespace(readNamespace(reader));
  else if (kind === KIND.member) {
    target.member(decodeSmall<ClusterMember>(reader.bytes(MEMBER_BYTES_MAX), 'a member'));
  } else if (kind === KIND.memberGone) target.memberGone(reader.word());
  else reader.fail(`change of kind ${kind} is unknown`);
}

function readNamespace(reader: WordReader): NamespaceRecord {
  const blocks = reader.wide();
  const bytes = reader.wide();
  const fields = decodeSmall<NamespaceFields & { policy: NamespacePolicy }>(
    reader.bytes(NAMESPACE_BYTES_MAX),
    'a namespace',
  );
  const fingerprint = completeFingerprint(fields.fingerprint);
  return {
    index: fields.index,
    id: namespaceId(fingerprint),
    fingerprint,
    policy: fields.policy,
    blocks,
    bytes,
  };
}

function readSegment(reader: WordReader): SegmentRecord {
  const index = reader.word();
  const namespace = reader.word();
  const state = STATES[reader.word()];
  if (state === undefined) reader.fail(`segment ${index} is in no known state`);
  const epoch = reader.wide();
  const sizeBytes = reader.wide();
  const endBytes = reader.wide();
  const liveBlocks = reader.wide();
  const liveBytes = reader.wide();
  const id = reader.bytes(SEGMENT_ID_BYTES).slice();
  const node = reader.text(NODE_NAME_BYTES_MAX);
  return { index, id, namespace, node, epoch, sizeBytes, state, endBytes, liveBlocks, liveBytes };
}
