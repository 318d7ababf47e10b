import { statfsSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { RefillError } from '@refill/interface';
import type { Config } from './fields.ts';

/** `sun_path` of `sockaddr_un` is 108 bytes with its final zero (unix(7)); the socket of descriptors ends in `.fd`. */
export const SOCKET_PATH_BYTES_MAX: number = 107 - '.fd'.length;

/** File systems that several machines mount, by the magic number of statfs(2): LevelDB has no fencing there. */
const SHARED_TYPES: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x0bd00bd0, 'Lustre'],
  [0x47504653, 'Storage Scale'],
  [0x00c36400, 'CephFS'],
  [0x19830326, 'BeeGFS'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB'],
  [0x01021997, '9P'],
  [0x7461636f, 'OCFS2'],
  [0x01161970, 'GFS2'],
]);

export interface NodePaths {
  /** The node's own directory. */
  state: string;
  /** The metadata database inside it. */
  database: string;
  socket: string;
  /** Socket beside it that hands out the arena's descriptor. */
  fdSocket: string;
}

/** Where a node of this cluster keeps what is its own. `ERR_CONFIG` when that is unsafe or cannot work. */
export function nodePaths(
  config: Config,
  clusterId: string,
  env: NodeJS.ProcessEnv = process.env,
): NodePaths {
  const home = env.XDG_STATE_HOME || join(env.HOME || homedir(), '.local', 'state');
  const state = config.state ?? join(home, 'refill', clusterId);
  const socket = config.socket ?? join(state, 'node.sock');
  const bytes = Buffer.byteLength(socket);
  if (bytes > SOCKET_PATH_BYTES_MAX) {
    throw new RefillError(
      'ERR_CONFIG',
      `socket is ${JSON.stringify(socket)}, ${bytes} bytes, and may have at most ${SOCKET_PATH_BYTES_MAX}`,
      {
        fix: `Shorten it: --socket ${join(env.XDG_RUNTIME_DIR || '/tmp', `refill-${config.node.slice(0, 24)}.sock`)}`,
      },
    );
  }
  refuseShared(config.root, 'state', state);
  if (config.nvme !== undefined) refuseShared(config.root, 'nvme', config.nvme);
  return { state, database: join(state, 'metadata'), socket, fdSocket: `${socket}.fd` };
}

function refuseShared(root: string, field: 'state' | 'nvme', path: string): void {
  const fix = `Give --${field} a directory on a local disk, outside the root`;
  const inside = relative(root, path);
  if (inside === '' || !(inside.startsWith('..') || inside.startsWith('/'))) {
    throw new RefillError('ERR_CONFIG', `${field} is ${path}, inside the root ${root} that all nodes share`, {
      fix,
    });
  }
  const type = statfsSync(nearest(path)).type >>> 0;
  const name = SHARED_TYPES.get(type);
  if (name !== undefined) {
    throw new RefillError('ERR_CONFIG', `${field} is ${path}, on a shared file system (${name})`, { fix });
  }
}

/** The directory itself or the nearest one above it that exists already. */
function nearest(path: string): string {
  for (let at = path; ; at = dirname(at)) {
    if (statSync(at, { throwIfNoEntry: false })?.isDirectory() || at === dirname(at)) return at;
  }
}
