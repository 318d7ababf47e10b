import {
  type Fingerprint,
  type NamespacePolicy,
  RefillError,
  SEGMENT_BYTES_MAX,
  SEGMENT_ID_BYTES,
  type SegmentRecord,
  type SegmentState,
} from '@refill/interface';
import { putNamespace, putSegment } from '../protocol/catalogue-changes.ts';
import { NAMESPACE_BYTES_MAX, NODE_NAME_BYTES_MAX } from '../protocol/message.ts';
import { type WordReader, WordWriter } from '../protocol/words.ts';
import { decodeSmall } from '../record.ts';
import { assertWriter, NO_WORDS, type ServiceHandler } from './service-core.ts';
import { tellCopy } from './tell-changes.ts';

const STATES: readonly SegmentState[] = ['open', 'sealed', 'abandoned', 'dead'];

/** `0`: nothing but the changes of the head. `1, from`: a page of a copy -> `next + 1, changes`. */
export const handleSync: ServiceHandler = (core, { reader }) => {
  if (reader.word() === 0) return NO_WORDS;
  const { next, words } = tellCopy(core, reader.word());
  return new WordWriter(words.length + 1)
    .word(next + 1)
    .words(words)
    .finishWords();
};

/** `node, epoch(2), JSON {fingerprint, policy}` -> the namespace, as a change. */
export const handleOpenNamespace: ServiceHandler = async (core, request) => {
  const { reader } = request;
  const node = reader.text(NODE_NAME_BYTES_MAX);
  const epoch = reader.wide();
  const { fingerprint, policy } = decodeSmall<{
    fingerprint: Fingerprint;
    policy: Partial<NamespacePolicy>;
  }>(reader.bytes(NAMESPACE_BYTES_MAX), 'a namespace');
  // Of whatever directory this is: its index comes back with the answer.
  assertWriter(
    core,
    { ...request, known: { ...request.known, incarnation: core.directory.incarnation } },
    node,
    epoch,
  );
  const namespace = await asArgument(() => core.directory.openNamespace(fingerprint, policy));
  const writer = new WordWriter();
  putNamespace(writer, namespace);
  return writer.finishWords();
};

/** `node, epoch(2), restored, namespace, size(2), id, owner, ownerEpoch(2)` -> the segment, as a change. */
export const handleCreateSegment: ServiceHandler = async (core, request) => {
  const { reader } = request;
  const node = reader.text(NODE_NAME_BYTES_MAX);
  const epoch = reader.wide();
  const restored = reader.word() !== 0;
  const namespace = reader.word();
  const sizeBytes = reader.wide();
  const id = reader.bytes(SEGMENT_ID_BYTES).slice();
  const owner = reader.text(NODE_NAME_BYTES_MAX);
  const ownerEpoch = reader.wide();
  assertWriter(core, request, node, epoch);
  if (id.length !== SEGMENT_ID_BYTES || sizeBytes <= 0 || sizeBytes > SEGMENT_BYTES_MAX)
    throw invalid('the id or the size of a segment is out of range');
  if (core.directory.namespace(namespace) === undefined)
    throw new RefillError('ERR_NAMESPACE_UNKNOWN', `namespace ${namespace} is unknown`);
  // A request that comes twice, or again after its answer was lost, made this segment already (rule R1).
  const before = core.directory.segmentById(id);
  const isCurrent = restored || core.directory.epochOf(owner) === ownerEpoch;
  const isSame = before?.node === owner && before.epoch === ownerEpoch && before.state === 'open';
  if (before !== undefined && isCurrent && !isSame) throw invalid('a segment id is used once');
  const segment: SegmentRecord =
    (isSame && isCurrent ? before : undefined) ??
    (await core.directory.createSegment({
      id,
      namespace,
      node: owner,
      epoch: ownerEpoch,
      sizeBytes,
      restored,
      durableCommits: core.options.durableCommits && !restored,
    }));
  const writer = new WordWriter();
  putSegment(writer, segment);
  return writer.finishWords();
};

/** `node, epoch(2), segment, from, to, end(2)` -> `moved`. Only its owner closes an open segment while it holds its lease. */
export const handleMoveSegment: ServiceHandler = async (core, request) => {
  const { reader } = request;
  const node = reader.text(NODE_NAME_BYTES_MAX);
  const epoch = reader.wide();
  const index = reader.word();
  const [from, to] = [readState(reader), readState(reader)];
  const endBytes = reader.wide();
  assertWriter(core, request, node, epoch);
  const segment = core.directory.segment(index);
  if (segment?.state === 'open' && segment.node !== node && core.leases.byNode(segment.node) !== undefined) {
    core.counters.fenced++;
    throw new RefillError('ERR_FENCED', `segment ${index} is open and of ${segment.node}, which is alive`);
  }
  const moved = await core.directory.moveSegment(index, from, to, endBytes);
  if (moved) core.ends.forget(index);
  return Uint32Array.of(moved ? 1 : 0);
};

/** `node, epoch(2), segment` -> nothing. */
export const handleForgetSegment: ServiceHandler = async (core, request) => {
  const { reader } = request;
  const node = reader.text(NODE_NAME_BYTES_MAX);
  const epoch = reader.wide();
  const index = reader.word();
  assertWriter(core, request, node, epoch);
  const segment = core.directory.segment(index);
  if (segment !== undefined && segment.state !== 'dead') throw invalid(`segment ${index} is not dead`);
  await core.directory.forgetSegment(index);
  return NO_WORDS;
};

/** `node, epoch(2)` -> nothing. Every index is void afterwards. */
export const handleReset: ServiceHandler = async (core, request) => {
  const node = request.reader.text(NODE_NAME_BYTES_MAX);
  assertWriter(core, request, node, request.reader.wide());
  await core.directory.reset();
  core.residency.forgetBlocks();
  return NO_WORDS;
};

export const handleCheckpoint: ServiceHandler = async (core) => {
  core.counters.checkpoints++;
  await core.directory.checkpoint();
  return NO_WORDS;
};

function readState(reader: WordReader): SegmentState {
  return STATES[reader.word()] ?? reader.fail('a segment state is unknown');
}

function invalid(what: string): RefillError {
  return new RefillError('ERR_INVALID_ARGUMENT', what);
}

/** Wrong arguments are the caller's, who gets the message. */
async function asArgument<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw invalid(error.message);
    throw error;
  }
}
