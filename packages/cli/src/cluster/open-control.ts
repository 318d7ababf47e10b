import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createControl, type Identity, loadIdentity } from '@refill/control';
import { type ControlHandler, type ControlNetwork, RefillError } from '@refill/interface';
import { PEER_PROTOCOL } from '@refill/store';
import type { Config } from '../config/fields.ts';
import type { NodePaths } from '../config/paths.ts';
import { makeFolder } from '../make-folder.ts';
import { systemChance, systemClock } from '../system-clock.ts';

const SECRET_BYTES_MAX = 4096;
const LOOPBACK = '127.0.0.1:0';

export interface OpenControl {
  identity: Identity;
  /** Not started; its protocols are registered before it is. */
  control: ControlNetwork;
  /** As `control`, for who is made only after it was started: until then its requests are refused. */
  late: ControlNetwork;
  /** Address part of `listen`, for the transport of bytes. */
  host: string;
}

/** The network between members, of the node's own key and the cluster's secret. `ERR_CONFIG` names what is missing. */
export async function openControl(config: Config, clusterId: string, paths: NodePaths): Promise<OpenControl> {
  const allow = config.allowPeers?.split(',');
  const secret = config.secretFile === undefined ? undefined : await readSecret(config.secretFile);
  if (secret === undefined && allow === undefined) {
    throw new RefillError('ERR_CONFIG', 'secretFile and allowPeers are both absent: anybody could join', {
      fix: 'Give --secret-file, or --allow-peers with the ids of the other nodes',
    });
  }
  // By name, for a metadata service and a node of one machine may have one state.
  const keys = join(paths.state, config.node);
  await makeFolder(keys, 0o700);
  const identity = await loadIdentity(keys);
  const [, host = '', port = ''] = /^\[?([^\]]+?)\]?:(\d+)$/.exec(config.listen ?? LOOPBACK) ?? [];
  const listen = [`/${host.includes(':') ? 'ip6' : 'ip4'}/${host}/tcp/${port}`];
  const control = createControl(
    { identity, clock: systemClock, chance: systemChance },
    { cluster: clusterId, ...(secret && { secret }), ...(allow && { allow }), listen },
  );
  return { identity, control, late: lateHandlers(control), host };
}

/** The whole file but for the white space around it, so that a line of text serves as well as bytes. */
async function readSecret(path: string): Promise<Uint8Array> {
  const fail = (why: string, cause?: unknown): never => {
    throw new RefillError('ERR_CONFIG', `secretFile is ${path}, which ${why}`, {
      cause,
      fix: 'Make one: head -c 32 /dev/urandom > refill.secret && chmod 600 refill.secret',
    });
  };
  const { mode, size } = await stat(path).catch((error) => fail(`cannot be read (${error.code})`, error));
  if ((mode & 0o077) !== 0) fail(`others may read (mode ${(mode & 0o777).toString(8)})`);
  if (size > SECRET_BYTES_MAX) fail(`is ${size} bytes, and may have at most ${SECRET_BYTES_MAX}`);
  const bytes = await readFile(path).catch((error) => fail(`cannot be read (${error.code})`, error));
  const isSpace = (byte: number | undefined): boolean => byte === 10 || byte === 13;
  let end = bytes.length;
  while (isSpace(bytes[end - 1])) end--;
  if (end < 16) fail(`is ${end} bytes, and needs 16 or more random ones`);
  return bytes.subarray(0, end);
}

/**
 * The epoch of a node comes over this network, and its store, which answers peers, is made with that epoch: so the
 * protocol is registered now, and answered once the store is there.
 */
function lateHandlers(control: ControlNetwork): ControlNetwork {
  let handler: ControlHandler | undefined;
  control.handle(PEER_PROTOCOL, (from, body) => {
    if (handler === undefined) throw new RefillError('ERR_NODE_CLOSED', 'the node is not open yet');
    return handler(from, body);
  });
  return {
    get self() {
      return control.self;
    },
    counters: control.counters,
    handle: (_protocol, its) => {
      handler = its;
    },
    request: (to, protocol, body, options) => control.request(to, protocol, body, options),
    start: () => control.start(),
    stop: () => control.stop(),
  };
}
