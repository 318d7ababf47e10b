import { hostname } from 'node:os';
import { type BlockIO, type Clock, RefillError } from '@refill/interface';
import { NODE_NAME } from './config/fields.ts';

/** Directory of the root with a lock and a note for each node. */
const NODES = 'nodes';
/** Of the whole root: one process at a time has its metadata, embedded in a node or as a service. */
const ROOT_LOCK = `${NODES}/root.lock`;
const NOTE_BYTES_MAX = 4096;

/** Who holds a lock, for people: written beside it by its holder, never trusted for safety. */
interface Holder {
  node: string;
  host: string;
  pid: number;
  /** ISO 8601. */
  since: string;
}

/**
 * Takes the node's name for this process, and as its `metadata` the root, until `io` stops; a `member` whose metadata is
 * elsewhere shares the root with others. `ERR_NODE_IDENTITY_TAKEN` names who has them. The locks only keep people from mistakes: on some file systems they are local to a host, or outlive one that
 * was cut off. What is safe is safe by epochs and by segments that have one writer.
 */
export async function takeIdentity(
  io: BlockIO,
  node: string,
  { root, clock, role }: { root: string; clock: Clock; role: 'metadata' | 'member' },
): Promise<void> {
  const [nodeLock, nodeNote] = [`${NODES}/${node}.lock`, `${NODES}/${node}.json`];
  const rootNote = `${NODES}/root.json`;
  if (!(await io.lock(nodeLock))) {
    throw taken(`node ${node} of ${root} runs already`, await holder(io, nodeNote), '--node another name');
  }
  if (role === 'metadata' && !(await io.lock(ROOT_LOCK))) {
    throw taken(
      `the metadata of ${root} is in another process`,
      await holder(io, rootNote),
      '--metadata auto to join it as a member, or --root another directory',
    );
  }
  const note: Holder = {
    node,
    host: hostname(),
    pid: process.pid,
    since: new Date(clock.wallMs()).toISOString(),
  };
  const bytes = new TextEncoder().encode(`${JSON.stringify(note)}\n`);
  await io.writeFile(nodeNote, bytes);
  if (role === 'metadata') await io.writeFile(rootNote, bytes);
}

/**
 * Takes another name under which this root was written, until `io` stops: false while somebody runs under it. The
 * segments that it left open can be closed then, as after a node was given a new name.
 */
export async function takeFormerName(io: BlockIO, node: string): Promise<boolean> {
  return NODE_NAME.test(node) && (await io.lock(`${NODES}/${node}.lock`));
}

function taken(what: string, who: string, give: string): RefillError {
  return new RefillError('ERR_NODE_IDENTITY_TAKEN', `${what} (${who})`, { fix: `Stop it, or give ${give}` });
}

async function holder(io: BlockIO, note: string): Promise<string> {
  try {
    const bytes = await io.readFile(note, { maxBytes: NOTE_BYTES_MAX });
    const { node, host, pid, since } = JSON.parse(new TextDecoder().decode(bytes)) as Holder;
    return `${node}, process ${pid} on ${host} since ${since}`;
  } catch {
    return 'it left no note of who it is';
  }
}
