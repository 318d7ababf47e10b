import { BLOCK_BYTES_MAX, type BlockStore, DEADLINE_MS_MAX } from '@refill/interface';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { FIELD_NAMES } from '../config/fields.ts';
import { formatSize } from '../config/size.ts';
import { connectToNode } from '../connect.ts';
import { EXIT, ExitError } from '../exit-codes.ts';
import { addConfigFlags, configOf, numberFlag, sizeFlag, wholeFlag } from '../options.ts';
import { createProgress } from '../output/progress.ts';
import { generateWorkload, WORKLOAD_DEFAULT } from '../replay/generate.ts';
import { openTrace } from '../replay/open-trace.ts';
import { replayTable } from '../replay/print.ts';
import { SeededRandom } from '../replay/random.ts';
import { REPLAY_BLOCK_BYTES_DEFAULT, replay } from '../replay/replay.ts';
import type { ReplayResult } from '../replay/result.ts';
import { locateRouter, type Router, randomRouter } from '../replay/router.ts';
import type { Trace } from '../replay/trace.ts';
import { systemClock } from '../system-clock.ts';

const HELP = `
Traces are read in two formats, told apart by content: lines of {timestamp, input_length, output_length, hash_ids},
or one document with block_size and requests, subagents included. Without a file a made-up agentic workload is
replayed. Every byte that comes back is compared with what must have been written; exit code 4 when one differs.

Examples:
  refill replay trace.jsonl --bytes-per-token 128 --concurrency 8
  refill replay agentic/*.json --json
  refill replay --generate --seed 7 --embedded --root /tmp/try
  refill replay trace.jsonl --cluster a.sock,b.sock --routing locate --durability shared`;

export function addReplay(program: Command): Command {
  const command = program
    .command('replay [files...]')
    .description('Replays block traces through a node as an engine would, and verifies every byte.')
    .option('--generate', 'replay a made-up agentic workload (the default without a file)')
    .option('--seed <n>', 'seed of the made-up workload and of random routing', wholeFlag(0, 2 ** 32 - 1), 1)
    .option('--conversations <n>', 'its conversations', wholeFlag(1, 10_000), WORKLOAD_DEFAULT.conversations)
    .option('--turns <n>', 'its turns a conversation', wholeFlag(1, 10_000), WORKLOAD_DEFAULT.turns)
    .addOption(
      new Option('--bytes-per-token <n>', 'size of blocks by the tokens that the trace gives them')
        .argParser(numberFlag(1 / 1024, 2 ** 24))
        .conflicts('blockBytes'),
    )
    .option(
      '--block-bytes <size>',
      `size of every block (default: ${formatSize(REPLAY_BLOCK_BYTES_DEFAULT)})`,
      sizeFlag(1, BLOCK_BYTES_MAX),
    )
    .option('--concurrency <n>', 'requests under way at a time', wholeFlag(1, 256), 4)
    .option('--limit <n>', 'stop after so many requests', wholeFlag(1, Number.MAX_SAFE_INTEGER))
    .addOption(new Option('--durability <level>', 'of puts').choices(['memory', 'shared']).default('memory'))
    .option('--deadline-ms <n>', 'of every call', wholeFlag(1, DEADLINE_MS_MAX), 60_000)
    .option('--target <socket>', 'socket of the node (default: that of the configuration)')
    .addOption(
      new Option(
        '--cluster <sockets>',
        'sockets of several nodes, with commas between; each request goes to one',
      )
        .argParser(socketsFlag)
        .conflicts(['target', 'embedded']),
    )
    .addOption(
      new Option('--routing <how>', 'which node of --cluster: any, or the one that holds most of the prefix')
        .choices(['random', 'locate'])
        .default('random'),
    )
    .option('--embedded', 'start the node in this process instead of connecting to one')
    .option('--progress', 'show a progress bar even when standard error is no terminal')
    .option('--json', 'one JSON object')
    .addHelpText('after', HELP)
    .action(run);
  return addConfigFlags(command, FIELD_NAMES);
}

async function run(files: string[], options: Record<string, unknown>): Promise<void> {
  if (files.length > 0 && options.generate === true) {
    throw new ExitError(EXIT.usage, '--generate makes the workload up, so it takes no file');
  }
  const traces = await tracesOf(files, options);
  const flags = options.target === undefined ? options : { ...options, socket: options.target };
  const { config } = configOf(flags);
  const node =
    options.embedded === true ? await (await import('../node.ts')).startConfigured(config) : undefined;
  const sockets = (options.cluster as string[] | undefined) ?? [node?.socketPath ?? config.socket];
  const stores: BlockStore[] = [];
  let result: ReplayResult;
  try {
    for (const socket of sockets) stores.push(await connectToNode({ ...config, socket }));
    result = await withProgress(stores, traces, options);
  } finally {
    await Promise.all(stores.map((store) => store.close()));
    await node?.stop();
  }
  const title =
    files.length > 0
      ? `Replayed ${files.join(', ')}`
      : `Replayed a made-up agentic workload, seed ${options.seed}`;
  process.stdout.write(`${options.json === true ? JSON.stringify(result) : replayTable(result, title)}\n`);
  if (result.mismatches > 0) {
    throw new ExitError(EXIT.mismatch, `${result.mismatches} blocks were read and are not what was written`);
  }
}

async function tracesOf(files: readonly string[], options: Record<string, unknown>): Promise<Trace[]> {
  if (files.length > 0) return Promise.all(files.map((file) => openTrace(file)));
  return generateWorkload({
    ...WORKLOAD_DEFAULT,
    seed: options.seed as number,
    conversations: options.conversations as number,
    turns: options.turns as number,
  });
}

/** Paths of sockets, each once. */
function socketsFlag(text: string): string[] {
  const sockets = text.split(',').map((path) => path.trim());
  if (sockets.some((path) => path === '') || new Set(sockets).size !== sockets.length) {
    throw new InvalidArgumentError('Give paths of sockets with commas between, each once.');
  }
  return sockets;
}

function routerOf(options: Record<string, unknown>): Router | undefined {
  if (options.cluster === undefined) return undefined;
  if (options.routing === 'locate') return locateRouter({ deadlineMs: options.deadlineMs as number });
  return randomRouter(new SeededRandom(options.seed as number));
}

async function withProgress(
  stores: readonly BlockStore[],
  traces: Trace[],
  options: Record<string, unknown>,
): Promise<ReplayResult> {
  const progress = createProgress('replay', { clock: systemClock, force: options.progress === true });
  try {
    return await replay({ stores, clock: systemClock, router: routerOf(options) }, traces, {
      blockBytes: options.blockBytes as number | undefined,
      bytesPerToken: options.bytesPerToken as number | undefined,
      concurrency: options.concurrency as number,
      limit: options.limit as number | undefined,
      durability: options.durability as 'memory' | 'shared',
      deadlineMs: options.deadlineMs as number,
      onProgress: (requests, total, bytes) =>
        progress.update(requests, total, `${requests} requests, ${formatSize(bytes)}`),
    });
  } finally {
    progress.end();
  }
}
