import { hostname } from 'node:os';
import {
  HUGE_PAGE_BYTES,
  PAGE_BYTES,
  SEGMENT_BYTES_DEFAULT,
  SEGMENT_BYTES_MAX,
  SEGMENT_BYTES_MIN,
} from '@refill/interface';
import { z } from 'zod';
import { defaultArenaBytes, memoryAvailable } from './memory.ts';
import { formatSize, parseSize } from './size.ts';

/** The configuration, validated. `state` and `socket` are absent where their default depends on the root. */
export interface Config {
  root: string;
  state: string | undefined;
  node: string;
  socket: string | undefined;
  arenaBytes: number;
  segmentBytes: number;
  engine: 'auto' | 'io_uring' | 'threads';
  direct: 'auto' | 'on' | 'off';
  readLanes: number;
  writeLanes: number;
  indexMemoryBytes: number;
  drainMs: number;
  nvme: string | undefined;
  nvmeCapacityBytes: number | undefined;
  nvmeMode: 'victim' | 'write-through';
  metadata: string;
  listen: string | undefined;
  dataPort: number;
  secretFile: string | undefined;
  allowPeers: string | undefined;
  logLevel: 'error' | 'warn' | 'info' | 'debug';
}

export type FieldName = keyof Config;

/** One field of the configuration: its flag, its environment variable and its place in the file follow from its name. */
export interface Field {
  readonly schema: z.ZodType;
  /** What a value looks like in help texts. */
  readonly argument: string;
  /** Value when nobody says anything; `undefined` where it depends on the root. */
  readonly fallback: () => unknown;
  /** The default in words. */
  readonly fallbackText: string;
  /** What to do about a bad value. */
  readonly fix: string;
}

const MIB = 1024 ** 2;
const TIB = 1024 ** 4;
/** Some files of the least size, so that one can go while others serve. */
const NVME_CAPACITY_BYTES_MIN: number = 64 * MIB;

function size(
  minBytes: number,
  maxBytes: number,
  multipleBytes: number,
  description: string,
): z.ZodType<number> {
  return z
    .union([z.number(), z.string()])
    .transform((value, context) => {
      const bytes = typeof value === 'number' ? value : parseSize(value);
      const problem =
        bytes === undefined || !Number.isSafeInteger(bytes)
          ? 'is not a size'
          : bytes < minBytes
            ? `is below the least, ${formatSize(minBytes)}`
            : bytes > maxBytes
              ? `is above the most, ${formatSize(maxBytes)}`
              : bytes % multipleBytes !== 0
                ? `is not a multiple of ${formatSize(multipleBytes)}`
                : undefined;
      if (problem === undefined) return bytes as number;
      context.addIssue({ code: 'custom', message: problem });
      return z.NEVER;
    })
    .describe(description);
}

function whole(min: number, max: number, description: string): z.ZodType<number> {
  return z
    .union([z.number(), z.string()])
    .transform((value, context) => {
      const number =
        typeof value === 'number' ? value : /^\d+$/.test(value.trim()) ? Number(value) : Number.NaN;
      const problem = !Number.isSafeInteger(number)
        ? 'is not a whole number'
        : number < min
          ? `is below the least, ${min}`
          : number > max
            ? `is above the most, ${max}`
            : undefined;
      if (problem === undefined) return number;
      context.addIssue({ code: 'custom', message: problem });
      return z.NEVER;
    })
    .describe(description);
}

function choice<const T extends readonly [string, ...string[]]>(
  of: T,
  description: string,
): z.ZodType<T[number]> {
  return z
    .enum(of as unknown as [string, ...string[]], `is none of ${of.join(', ')}`)
    .describe(description) as never;
}

const path = (description: string): z.ZodType<string> =>
  z
    .string('is not a path')
    .min(1, 'is empty')
    .refine((value) => !value.includes('\0'), 'has a zero byte')
    .describe(description);

/** Host names may be longer and stranger than what a file name under `nodes/` should be. */
export const NODE_NAME: RegExp = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** A multiaddr of a TCP port that ends in the peer id of who is to be found there. */
const METADATA = /^(embedded|auto|\/(ip4|ip6|dns4|dns6|dns)\/[^/]+\/tcp\/\d+\/p2p\/[A-Za-z0-9]+)$/;
const LISTEN = /^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:]+\]):\d{1,5}$/;
const PEERS = /^[A-Za-z0-9]+(,[A-Za-z0-9]+)*$/;

export const FIELDS: Readonly<Record<FieldName, Field>> = {
  root: {
    schema: path('Directory of the cluster on the shared file system: segments, catalogue, nodes.'),
    argument: 'dir',
    fallback: () => './refill-data',
    fallbackText: '`./refill-data`',
    fix: 'Give a directory on the file system that all servers mount',
  },
  state: {
    schema: path(
      "Directory of this node's own state (metadata database, socket). On a local disk, never on the shared file system.",
    ),
    argument: 'dir',
    fallback: () => undefined,
    fallbackText: '`$XDG_STATE_HOME/refill/<clusterId>`, or under `~/.local/state`',
    fix: 'Give a directory on a local disk',
  },
  node: {
    schema: z
      .string('is not a name')
      .regex(NODE_NAME, `does not match ${NODE_NAME.source}`)
      .describe('Name of this node, one of its own in the cluster.'),
    argument: 'name',
    fallback: () => hostname(),
    fallbackText: 'the host name',
    fix: 'Give a name of letters, digits, dots, dashes and underscores, at most 63',
  },
  socket: {
    schema: path('Unix socket that clients connect to.'),
    argument: 'path',
    fallback: () => undefined,
    fallbackText: '`node.sock` in the state directory',
    fix: 'Give a path of at most 104 bytes',
  },
  arenaBytes: {
    schema: size(
      64 * MIB,
      16 * TIB,
      HUGE_PAGE_BYTES,
      'Shared memory for blocks, the `dram` tier. Taken whole at the start.',
    ),
    argument: 'size',
    fallback: () => defaultArenaBytes(memoryAvailable()),
    fallbackText: 'a quarter of the available memory, from 256 MiB to 16 GiB',
    fix: 'Give a size such as 4GiB, in whole 2 MiB',
  },
  segmentBytes: {
    schema: size(
      SEGMENT_BYTES_MIN,
      SEGMENT_BYTES_MAX,
      PAGE_BYTES,
      'Size of a new segment. Blocks larger than a segment cannot be stored.',
    ),
    argument: 'size',
    fallback: () => SEGMENT_BYTES_DEFAULT,
    fallbackText: '1 GiB',
    fix: `Give a size from ${formatSize(SEGMENT_BYTES_MIN)} to ${formatSize(SEGMENT_BYTES_MAX)}, in whole 4 KiB`,
  },
  engine: {
    schema: choice(
      ['auto', 'io_uring', 'threads'],
      'How files are read and written. `auto` takes io_uring where the kernel allows it.',
    ),
    argument: 'name',
    fallback: () => 'auto',
    fallbackText: '`auto`',
    fix: 'Give auto, io_uring or threads',
  },
  direct: {
    schema: z
      .preprocess(
        // YAML 1.1 habits and JSON give booleans for on and off.
        (value) => (value === true ? 'on' : value === false ? 'off' : value),
        choice(
          ['auto', 'on', 'off'],
          'Bypass the page cache by O_DIRECT. `auto` does where the file system can.',
        ),
      )
      .describe('Bypass the page cache by O_DIRECT. `auto` does where the file system can.'),
    argument: 'when',
    fallback: () => 'auto',
    fallbackText: '`auto`',
    fix: 'Give auto, on or off',
  },
  readLanes: {
    schema: whole(1, 64, 'Workers that read, each with a ring of its own.'),
    argument: 'n',
    fallback: () => 2,
    fallbackText: '2',
    fix: 'Give a whole number from 1 to 64',
  },
  writeLanes: {
    schema: whole(1, 64, 'Workers that write behind, each with a ring of its own.'),
    argument: 'n',
    // One writes, one syncs, one sums: with fewer a sync waits behind the batches that follow it.
    fallback: () => 3,
    fallbackText: '3',
    fix: 'Give a whole number from 1 to 64',
  },
  indexMemoryBytes: {
    schema: size(
      16 * MIB,
      TIB,
      1,
      'Memory for the block index; blocks beyond it are looked up on the local disk.',
    ),
    argument: 'size',
    fallback: () => 1024 * MIB,
    fallbackText: '1 GiB',
    fix: 'Give a size such as 1GiB; a block takes at most 96 bytes',
  },
  drainMs: {
    schema: whole(0, 600_000, 'How long a stopping node waits for write-behind, milliseconds.'),
    argument: 'ms',
    fallback: () => 30_000,
    fallbackText: '30000',
    fix: 'Give milliseconds from 0 to 600000',
  },
  nvme: {
    schema: path(
      'Directory on a local disk, the `nvme` tier: copies of blocks for which memory has no room. Of this node alone.',
    ),
    argument: 'dir',
    fallback: () => undefined,
    fallbackText: 'none: no such tier',
    fix: 'Give an empty directory on a local disk, or the one that this node had before',
  },
  nvmeCapacityBytes: {
    schema: size(NVME_CAPACITY_BYTES_MIN, 256 * TIB, 1, 'Most that the `nvme` tier takes of its disk.'),
    argument: 'size',
    fallback: () => undefined,
    fallbackText: "half of the disk's size",
    fix: `Give a size such as 800GiB, at least ${formatSize(NVME_CAPACITY_BYTES_MIN)}`,
  },
  nvmeMode: {
    schema: choice(
      ['victim', 'write-through'],
      'When blocks are copied to the `nvme` tier: `victim` when they leave memory, `write-through` once they are stored too.',
    ),
    argument: 'when',
    fallback: () => 'victim',
    fallbackText: '`victim`',
    fix: 'Give victim or write-through',
  },
  metadata: {
    schema: z
      .string('is not an address')
      .regex(METADATA, 'is neither embedded, auto nor a multiaddr with a peer id')
      .describe(
        'The metadata service: `embedded` in this node, `auto` for the one whose card is in `nodes/` of the root, or its multiaddr.',
      ),
    argument: 'where',
    fallback: () => 'embedded',
    fallbackText: '`embedded`',
    fix: 'Give embedded, auto, or an address such as /ip4/10.0.0.5/tcp/7400/p2p/12D3KooW...',
  },
  listen: {
    schema: z
      .string('is not an address')
      .regex(LISTEN, 'is not an address and a port')
      .describe(
        'Address and port at which other members reach this one. Giving it makes a cluster; without it and with `embedded` metadata this node is alone.',
      ),
    argument: 'address:port',
    fallback: () => undefined,
    fallbackText: 'none; a loopback address with other than `embedded` metadata',
    fix: 'Give a numeric address of this machine and a port, such as 10.0.0.5:7400; port 0 takes any',
  },
  dataPort: {
    schema: whole(
      0,
      65_535,
      'Port at which other members read blocks out of this memory, on the address of `listen`. 0 takes any.',
    ),
    argument: 'port',
    fallback: () => 0,
    fallbackText: '0',
    fix: 'Give a port from 0 to 65535',
  },
  secretFile: {
    schema: path(
      'File with the secret of the cluster: 16 or more random bytes, readable by its owner alone.',
    ),
    argument: 'file',
    fallback: () => undefined,
    fallbackText: 'none',
    fix: 'Make one: head -c 32 /dev/urandom > refill.secret && chmod 600 refill.secret',
  },
  allowPeers: {
    schema: z
      .string('is not a list of peer ids')
      .regex(PEERS, 'is not a list of peer ids')
      .describe('Peer ids that may join, with commas between. With a secret too, both are asked for.'),
    argument: 'ids',
    fallback: () => undefined,
    fallbackText: 'everybody who has the secret',
    fix: 'Give ids such as 12D3KooW..., as `refill status` of each node shows them',
  },
  logLevel: {
    schema: choice(['error', 'warn', 'info', 'debug'], 'How much a node says on standard error.'),
    argument: 'level',
    fallback: () => 'info',
    fallbackText: '`info`',
    fix: 'Give error, warn, info or debug',
  },
};

export const FIELD_NAMES: readonly FieldName[] = Object.keys(FIELDS) as FieldName[];

/** `arenaBytes` as it is spelled on the command line. */
export function flagOf(field: FieldName): string {
  return `--${field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** The short spelling of a size on the command line, `--arena` for `--arena-bytes`. */
export function shortFlagOf(field: FieldName): string | undefined {
  return field.endsWith('Bytes') ? flagOf(field).slice(0, -'-bytes'.length) : undefined;
}

/** `arenaBytes` as it is spelled in the environment. */
export function variableOf(field: FieldName): string {
  return `REFILL_${field.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}
