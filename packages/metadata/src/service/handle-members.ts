import { type PeerAddress, RefillError } from '@refill/interface';
import {
  COUNTED_MAX,
  HEARTBEAT_FLAG,
  HEARTBEAT_STATUS,
  MEMBER_BYTES_MAX,
  NODE_NAME_BYTES_MAX,
  RESIDENCY_NOTES_MAX,
  TOUCHES_MAX,
} from '../protocol/message.ts';
import { WordWriter } from '../protocol/words.ts';
import { decodeSmall } from '../record.ts';
import type { ServiceLease } from './node-lease.ts';
import { NO_WORDS, type ServiceCore, type ServiceHandler } from './service-core.ts';

/** No cluster gets there by joins; above it a node that errs would leave no epochs to the others. */
const EPOCH_MAX = 2 ** 48;

/** `node, life(2), attempt, resumeEpoch(2), JSON {control, dataAddress, lastEpoch}` -> `epoch(2), slot, ttlMs`. */
export const handleJoin: ServiceHandler = async (core, { from, reader, known }) => {
  const node = reader.text(NODE_NAME_BYTES_MAX);
  const life = reader.wide();
  const attempt = reader.word();
  // Under another incarnation the node's open segments mean nothing: no going on with its epoch.
  const asked = reader.wide();
  const resumeEpoch = known.incarnation === core.directory.incarnation ? asked : 0;
  const member = decodeSmall<{ control: PeerAddress; dataAddress: string; lastEpoch?: number }>(
    reader.bytes(MEMBER_BYTES_MAX),
    'a member',
  );
  const { control, dataAddress, lastEpoch = 0 } = member;
  if (!Number.isInteger(lastEpoch) || lastEpoch < 0 || lastEpoch > EPOCH_MAX)
    throw new RefillError(
      'ERR_PROTOCOL',
      `lastEpoch must be a whole number up to ${EPOCH_MAX}, got ${lastEpoch}`,
    );
  const request = { node, control, dataAddress, life, attempt, resumeEpoch, lastEpoch };
  const lease = await core.leases.join(from, request);
  core.residency.admit(lease.slot);
  return new WordWriter().wide(lease.epoch).word(lease.slot).word(core.options.leaseTtlMs).finishWords();
};

/**
 * `slot, epoch(2), number, flags, readVersion(2), count, uses, count, residency notes` ->
 * `status`, and when renewed `indexBytes(2), blocksBeyondMemory(2), damaged, engine, counts (of no segment),
 * count, segments to condemn, count, segments to unlink`.
 */
export const handleHeartbeat: ServiceHandler = (core, { from, reader, known }) => {
  const slot = reader.word();
  const epoch = reader.wide();
  const number = reader.word();
  const flags = reader.word();
  const readVersion = reader.wide();
  const uses = reader.words(reader.count(TOUCHES_MAX, 1));
  const notes = reader.words(2 * reader.count(RESIDENCY_NOTES_MAX, 2));
  const isKnown = known.session === core.session && known.incarnation === core.directory.incarnation;
  const lease = isKnown ? core.leases.renew(from, slot, epoch) : undefined;
  if (lease === undefined) return Uint32Array.of(HEARTBEAT_STATUS.unknown);
  if ((flags & HEARTBEAT_FLAG.draining) !== 0) core.leases.setDraining(lease);
  // One that comes late or twice says what is no longer so.
  if (number > lease.heartbeats) {
    lease.heartbeats = number;
    lease.readVersion = Math.max(lease.readVersion, readVersion);
    core.directory.touch(uses, uses.length);
    takeNotes(core, lease, notes);
  }
  return answerHeartbeat(core, lease);
};

/** `slot, epoch(2)` -> nothing. */
export const handleLeave: ServiceHandler = async (core, { from, reader }) => {
  const lease = core.leases.renew(from, reader.word(), reader.wide());
  if (lease !== undefined) await core.leases.leave(lease);
  return NO_WORDS;
};

/** `node` -> `epoch(2)`. */
export const handleAcquireEpoch: ServiceHandler = async (core, { from, reader }) => {
  const epoch = await core.leases.acquireEpoch(from, reader.text(NODE_NAME_BYTES_MAX));
  return new WordWriter().wide(epoch).finishWords();
};

/** Notes are in the order of what happened: bit 0 of the first word says whether the block came or went. */
function takeNotes({ residency, fills }: ServiceCore, { slot }: ServiceLease, notes: Uint32Array): void {
  for (let at = 0; at < notes.length; at += 2) {
    const low = notes[at]! & ~1;
    const high = notes[at + 1]!;
    if ((notes[at]! & 1) === 0) residency.remove(low, high, slot);
    else {
      residency.add(low, high, slot);
      if (fills.size > 0) fills.arrived(low, high);
    }
  }
}

function answerHeartbeat(core: ServiceCore, lease: ServiceLease): Uint32Array {
  const { stats } = core.directory;
  const counted = core.directory.namespaces().slice(0, COUNTED_MAX);
  const task = core.reclaimer.taskOf(lease.node);
  const writer = new WordWriter(64 + task.condemn.length + task.unlink.length);
  writer.word(HEARTBEAT_STATUS.renewed).wide(stats.indexBytes).wide(stats.blocksBeyondMemory);
  writer.word(stats.damaged).text(stats.engine).word(0).word(counted.length);
  for (const { index, blocks, bytes } of counted) writer.word(index).wide(blocks).wide(bytes);
  for (const list of [task.condemn, task.unlink]) writer.word(list.length).words(Uint32Array.from(list));
  return writer.finishWords();
}
