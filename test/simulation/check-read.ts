import { type Block, type Deletion, isBuried, nameOf, type Version } from './history.ts';
import type { NodeLife } from './store-host.ts';
import type { World } from './world.ts';

/** A node hears of a deletion with its next answer. */
const PROPAGATION_MS = 5_000;

/** What a read of this life, begun at `startMs`, may give: a whole version that was complete and is not deleted. */
export function checkRead(
  world: World,
  life: NodeLife,
  block: Block,
  bytes: Uint8Array,
  startMs: number,
): Version | undefined {
  const nowMs = world.timeline.nowMs();
  const version = world.history.versionOf(block, bytes);
  const read = `${life.process.name} read ${nameOf(block)}`;
  if (version === undefined) {
    world.report(`G1: ${read} and got ${bytes.length} bytes that nobody put under it`);
    return undefined;
  }
  if (version.committedMs > nowMs || version.outcome === 'refused' || version.outcome === 'aborted')
    world.report(`G3: ${read} and got version ${version.serial}, which is ${version.outcome}`);
  // While a node cannot reach the service it hears of no deletion.
  const isQuiet = world.disturbedAtMs + PROPAGATION_MS < startMs && !world.plan.isLossy;
  const isHeard = ({ life: by, endMs }: Deletion): boolean =>
    by === life || endMs + PROPAGATION_MS <= startMs;
  if (isQuiet && isBuried(version, startMs, isHeard))
    world.report(`G3: ${read} and got version ${version.serial}, which was deleted`);
  return version;
}
