import { Command } from 'commander';
import { addBench } from './commands/bench.ts';
import { addDoctor } from './commands/doctor.ts';
import { addDrain } from './commands/drain.ts';
import { addExplain } from './commands/explain.ts';
import { addGet } from './commands/get.ts';
import { addJoin } from './commands/join.ts';
import { addLocate } from './commands/locate.ts';
import { addMetadata } from './commands/metadata.ts';
import { addPut } from './commands/put.ts';
import { addRebuild } from './commands/rebuild.ts';
import { addReplay } from './commands/replay.ts';
import { addServe } from './commands/serve.ts';
import { addStart } from './commands/start.ts';
import { addStatus } from './commands/status.ts';
import { VERSION } from './version.ts';

const CODES = `
Exit codes:
  0  done
  1  failed
  2  wrong usage or configuration
  3  no node answers
  4  bytes that were read are not the bytes that were written

Configuration comes from flags, then the environment (REFILL_ROOT, REFILL_ARENA_BYTES, ...), then a YAML file
(--config, ./refill.yaml or ~/.config/refill/refill.yaml), then defaults.`;

/**
 * The whole command line. Commands load what they work with (a node, the SDK) when they run: help and usage errors take
 * none of it. Usage errors are thrown as `CommanderError` after they were printed. */
export function createProgram(): Command {
  const program = new Command('refill')
    .description('A key-value store for the KV cache of LLM inference, on a shared file system.')
    .version(VERSION)
    .option('--debug', 'print stacks of errors')
    .showSuggestionAfterError()
    .showHelpAfterError('(refill <command> --help says more)')
    .addHelpText('after', CODES)
    .exitOverride();
  const add = [
    addServe,
    addMetadata,
    addJoin,
    addDrain,
    addStart,
    addPut,
    addGet,
    addLocate,
    addExplain,
    addStatus,
    addDoctor,
    addReplay,
    addRebuild,
    addBench,
  ];
  for (const addTo of add) {
    const command = addTo(program);
    command
      .exitOverride()
      .option('--debug', 'print stacks of errors')
      .showHelpAfterError('(--help says more)');
  }
  return program;
}
