import {
  type BlockStore,
  DEADLINE_MS_MAX,
  type DrainStatus,
  HOT_BYTES_DEFAULT,
  HOT_BYTES_MAX,
} from '@refill/interface';
import type { Command } from 'commander';
import { formatSize } from '../config/size.ts';
import { connectToNode } from '../connect.ts';
import { EXIT, ExitError } from '../exit-codes.ts';
import { addConfigFlags, CLIENT_FIELDS, configOf, sizeFlag, timeFlag } from '../options.ts';
import { createProgress } from '../output/progress.ts';
import { count } from '../output/table.ts';
import { systemClock } from '../system-clock.ts';

const TIMEOUT_MS_DEFAULT = 60_000;
const LOOK_MS = 250;

const HELP = `
In order: the node takes no more puts and fill leases (ERR_NODE_DRAINING; reads go on), other nodes hear that it leaves,
everything that was put is stored on the shared file system, other nodes are asked to hold its hottest blocks, it gives
its lease back and ends. A node alone stores everything and ends.

Examples:
  refill drain --root /mnt/shared/refill
  refill drain --hot-bytes 8GiB --timeout 5m
  refill drain --stay && systemctl stop refill

Exit code 1 when it was not complete in time: what is missing is said, the node keeps running and takes no puts, and the
same command goes on. 3 when no node answers.`;

export function addDrain(program: Command): Command {
  const command = program
    .command('drain')
    .description('Lets the node of this machine leave without losing what is in its memory.')
    .option(
      '--hot-bytes <size>',
      'most bytes of hot blocks that other nodes are asked to hold; 0 for none',
      sizeFlag(0, HOT_BYTES_MAX),
      HOT_BYTES_DEFAULT,
    )
    .option('--timeout <time>', 'how long it may take', timeFlag(1, DEADLINE_MS_MAX), TIMEOUT_MS_DEFAULT)
    .option('--stay', 'leave the node running, to answer reads until it is stopped')
    .option('--progress', 'a line of progress a second also when standard error is no terminal')
    .option('--json', 'one JSON object: what was stored and handed over')
    .addHelpText('after', HELP)
    .action(drain);
  return addConfigFlags(command, CLIENT_FIELDS);
}

async function drain(options: Record<string, unknown>): Promise<void> {
  await using store = await connectToNode(configOf(options).config);
  const { nodeName } = await store.status();
  const deadlineMs = options.timeout as number;
  const stay = options.stay === true;
  const stopShowing = show(store, options.progress === true);
  const report = await store
    .drain({ hotBytes: options.hotBytes as number, deadlineMs, stay })
    .finally(stopShowing);
  const text =
    options.json === true ? JSON.stringify({ node: nodeName, ...report }) : textOf(nodeName, report, stay);
  process.stdout.write(`${text}\n`);
  if (!report.isComplete) {
    throw new ExitError(EXIT.failure, `node ${nodeName} is not drained: ${lackOf(report)}`);
  }
}

/** Draws what the node says of itself, until the returned function is called. */
function show(store: BlockStore, force: boolean): () => void {
  const progress = createProgress('draining', { clock: systemClock, force });
  let isOver = false;
  const look = async (): Promise<void> => {
    while (!isOver) {
      const { drain } = await store.status().catch(() => ({ drain: undefined }));
      if (drain?.phase === 'flushing') {
        progress.update(0, undefined, `${formatSize(drain.backlogBytes)} to be stored`);
      } else if (drain !== undefined && !isOver) {
        progress.update(drain.heldBlocks + drain.refusedBlocks, drain.hotBlocks, 'hot blocks handed over');
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS).unref());
    }
  };
  void look();
  return () => {
    isOver = true;
    progress.end();
  };
}

function textOf(node: string, report: DrainStatus, stay: boolean): string {
  const { hotBlocks, heldBlocks, heldBytes, refusedBlocks, holders, isComplete } = report;
  const end = stay ? 'keeps running for reads; stop it when nobody needs it' : 'ends now';
  const takers = holders.map((holder) => `${count(holder.blocks)} by ${holder.node}`).join(', ');
  const handed =
    hotBlocks === 0
      ? 'no hot blocks were handed over'
      : `${count(heldBlocks)} of ${count(hotBlocks)} hot blocks (${formatSize(heldBytes)}) are held by others${takers === '' ? '' : `: ${takers}`}`;
  const refused =
    refusedBlocks > 0 ? `; ${count(refusedBlocks)} nobody took, they stay on the shared file system` : '';
  return `${isComplete ? `node ${node} is drained and ${end}` : `node ${node} takes no puts`}; ${handed}${refused}`;
}

function lackOf({ backlogBytes, unstoredBlocks, phase }: DrainStatus): string {
  if (unstoredBlocks > 0)
    return `${count(unstoredBlocks)} blocks could not be stored. Look at \`refill status\` and the mount, then drain again`;
  if (backlogBytes > 0)
    return `${formatSize(backlogBytes)} are not stored yet. Drain again, with a longer --timeout`;
  return `it was ${phase === 'handing' ? 'handing over hot blocks' : 'not done'} when the time was over. Drain again, or with --hot-bytes 0`;
}
