import { type ClusterMember, RefillError } from '@refill/interface';
import { askMembers, controlChannel } from '@refill/metadata';
import type { Config } from '../config/fields.ts';
import { nodePaths } from '../config/paths.ts';
import { makeFolder } from '../make-folder.ts';
import { readRoot } from '../root.ts';
import { systemClock } from '../system-clock.ts';
import { findService } from './find-service.ts';
import { openControl } from './open-control.ts';
import { rootFiles } from './root-files.ts';

/** What a node would join with, and what it met there. */
export interface JoinReport {
  root: string;
  clusterId: string;
  node: string;
  /** Id of this node's key, which `--allow-peers` of others takes. */
  peer: string;
  /** Where others would reach it. */
  addresses: readonly string[];
  service: { peer: string; addresses: readonly string[] };
  members: { node: string; state: ClusterMember['state']; peer: string }[];
  /** The command that joins. */
  command: string;
}

/**
 * Goes the way of a node that joins, up to the point where it would change something: root, key, secret, service, and
 * the handshake with it. Makes the node's key where there is none. Rejects as joining would, saying what to do.
 */
export async function tryJoin(config: Config, deadlineMs: number): Promise<JoinReport> {
  const root = await readRoot(config.root);
  if (root === undefined) {
    throw new RefillError(
      'ERR_NOT_A_ROOT',
      `${config.root} has no refill.json: there is no cluster to join`,
      {
        fix: 'Start `refill metadata` on it first, or mount the file system',
      },
    );
  }
  const paths = nodePaths(config, root.clusterId);
  await makeFolder(paths.state, 0o700);
  const { identity, control } = await openControl(config, root.clusterId, paths);
  const { peer } = identity;
  const service = await findService(config.metadata, rootFiles(root.path), root.clusterId);
  await control.start();
  try {
    const { addresses } = control.self;
    const found = await askMembers(controlChannel(control, service), systemClock, deadlineMs).catch(
      (error) => {
        throw refusal(error, peer, service.addresses);
      },
    );
    const members = found.map(({ node, state, control }) => ({ node, state, peer: control.peer }));
    const namesake = members.find((member) => member.node === config.node && member.peer !== peer);
    if (namesake !== undefined) {
      throw new RefillError(
        'ERR_NODE_IDENTITY_TAKEN',
        `a node named ${config.node} is in the cluster already, with the key ${namesake.peer}`,
        { fix: 'Give this one another name: --node' },
      );
    }
    const { clusterId, path } = root;
    const command = commandOf(config);
    return { root: path, clusterId, node: config.node, peer, addresses, service, members, command };
  } finally {
    await control.stop();
  }
}

function refusal(error: unknown, peer: string, addresses: readonly string[]): unknown {
  if (!(error instanceof RefillError)) return error;
  const at = addresses[0] ?? 'no address';
  const say = (what: string, fix: string): RefillError =>
    new RefillError(error.code, `${what}: ${error.message}`, { cause: error, fix });
  switch (error.code) {
    case 'ERR_UNAUTHORIZED':
      return say(
        `the metadata service at ${at} and this node do not trust each other`,
        `Give this node the secret file of the cluster; where it has a list of peers, add ${peer} to its --allow-peers`,
      );
    case 'ERR_METADATA_UNAVAILABLE':
    case 'ERR_DEADLINE':
      return say(
        `the metadata service at ${at} does not answer`,
        'Check that `refill metadata` runs and listens on an address that is reachable from here',
      );
    default:
      return error;
  }
}

function commandOf(config: Config): string {
  const flags: [string, string | number | undefined][] = [
    ['--root', config.root],
    ['--state', config.state],
    ['--node', config.node],
    ['--metadata', config.metadata],
    ['--listen', config.listen],
    ['--data-port', config.dataPort === 0 ? undefined : config.dataPort],
    ['--secret-file', config.secretFile],
    ['--allow-peers', config.allowPeers],
  ];
  const given = flags.filter(([, value]) => value !== undefined).map(([flag, value]) => `${flag} ${value}`);
  return `refill serve ${given.join(' ')}`;
}
