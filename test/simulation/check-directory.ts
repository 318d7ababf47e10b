import { KEY_WORDS, LOCATION_ROW, LOCATION_ROW_WORDS, PAGE_BYTES } from '@refill/interface';
import type { LocalDirectory } from '@refill/metadata';
import { segmentPath } from '../../packages/store/src/segment/segment-path.ts';
import { type Block, isBuried, mayBeDeleted, nameOf, type Version } from './history.ts';
import { checkTime, fingerprintOf } from './operation.ts';
import type { World } from './world.ts';

/** After every step: what can be seen of the cluster from outside is as the guarantees say. */
export function checkStep(world: World): void {
  for (const pending of [...world.pending]) {
    if (pending.life.process.state === 'dead') world.pending.delete(pending);
    else if (pending.life.process.state === 'running' && !checkTime(world, pending))
      world.pending.delete(pending);
  }
  const { directory } = world.metadata;
  if (directory === undefined) return;
  for (let namespace = 0; namespace < world.plan.namespaces; namespace++)
    checkNamespace(world, directory, namespace);
}

function checkNamespace(world: World, directory: LocalDirectory, namespace: number): void {
  const { name } = fingerprintOf(namespace);
  const record = directory.namespaces().find(({ fingerprint }) => fingerprint.name === name);
  const blocks = world.history.blocks.filter((block) => block.namespace === namespace);
  if (record === undefined) {
    for (const block of blocks) checkAbsent(world, block);
    return;
  }
  const keys = new Uint32Array(blocks.length * KEY_WORDS);
  for (const [i, { words }] of blocks.entries()) keys.set(words, i * KEY_WORDS);
  const rows = new Uint32Array(blocks.length * LOCATION_ROW_WORDS);
  // In memory: it answers at once.
  void directory.lookup(record.index, keys, blocks.length, rows);
  for (const [i, block] of blocks.entries()) {
    const row = rows.subarray(i * LOCATION_ROW_WORDS, (i + 1) * LOCATION_ROW_WORDS);
    if (row[LOCATION_ROW.found] === 1) checkLocation(world, directory, block, row);
    else checkAbsent(world, block);
  }
}

/** Guarantee 2: what was promised is there, unless it may have been deleted since. */
function checkAbsent(world: World, block: Block): void {
  const lost = block.acks.find(({ startMs }) => !mayBeDeleted(block, startMs));
  if (lost !== undefined)
    world.report(`G2: ${nameOf(block)} was promised as shared and is not in the directory`);
  block.seen = undefined;
}

/** Guarantee 3 and rule R3: what the directory names is whole, durable and the first, and was not deleted. */
function checkLocation(world: World, directory: LocalDirectory, block: Block, row: Uint32Array): void {
  const segment = directory.segment(row[LOCATION_ROW.segment]!);
  const file = segment && world.fs.files.get(segmentPath(segment.id));
  if (file === undefined) {
    world.report(`C1: the directory has ${nameOf(block)} in a segment that is gone`);
    return;
  }
  const offset = row[LOCATION_ROW.offsetPages]! * PAGE_BYTES;
  const nowMs = world.timeline.nowMs();
  const { bytes, isSynced, isSafe } = file.stored(offset, row[LOCATION_ROW.storedBytes]!, nowMs);
  const version = world.history.versionOf(block, bytes);
  if (version === undefined) {
    world.report(`G2: what the directory names for ${nameOf(block)} is not there whole`);
    return;
  }
  // A rebuild also takes what a dead node had written and not synced, as far as it can be seen.
  if (!(world.history.wasRebuilt ? isSafe : isSynced))
    world.report(`R3: version ${version.serial} of ${nameOf(block)} is published, not synced`);
  checkVersion(world, block, version);
}

function checkVersion(world: World, block: Block, version: Version): void {
  const nowMs = world.timeline.nowMs();
  const { outcome, serial } = version;
  if (outcome === 'refused' || outcome === 'aborted')
    world.report(`G3: version ${serial} of ${nameOf(block)} was ${outcome} and is in the directory`);
  const { seen } = block;
  if (seen !== undefined && seen !== version && !mayBeDeleted(block, seen.startMs))
    world.report(`G3: ${nameOf(block)} was version ${seen.serial} and is ${serial} now`);
  block.seen = version;
  if (isBuried(version, nowMs, () => true))
    world.report(`G3: version ${serial} of ${nameOf(block)} was deleted and is in the directory`);
}
