import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { addNamespaceFlags, openNamespace, parseKey } from '../block-options.ts';
import { connectToNode } from '../connect.ts';
import { EXIT, ExitError } from '../exit-codes.ts';
import { fileError } from '../file-error.ts';
import { addConfigFlags, CLIENT_FIELDS, configOf } from '../options.ts';

const HELP = `
A key is 64 hexadecimal digits, or any text, which is hashed (SHA-256).

Examples:
  refill get prompt-1 > block.bin
  refill get prompt-1 block.bin --json

Exit code 1 when there is no such block.`;

export function addGet(program: Command): Command {
  const command = program
    .command('get <key> [file]')
    .description('Writes a block to a file or to standard output.')
    .option('--json', 'one JSON object instead of the bytes on standard output: key, hit, bytes')
    .addHelpText('after', HELP)
    .action(get);
  return addConfigFlags(addNamespaceFlags(command), CLIENT_FIELDS);
}

async function get(name: string, file: string | undefined, options: Record<string, unknown>): Promise<void> {
  await using store = await connectToNode(configOf(options).config);
  const namespace = await openNamespace(store, options);
  const key = parseKey(name);
  using answer = await namespace.getMany([key]);
  const view = answer.views[0];
  if (view !== undefined && file !== undefined) {
    await writeFile(file, view.bytes).catch((cause: unknown) => {
      throw fileError(file, 'written', cause);
    });
  } else if (view !== undefined && options.json !== true) await writeOut(view.bytes);
  if (options.json === true) {
    const report = {
      key: Buffer.from(key).toString('hex'),
      hit: view !== undefined,
      bytes: view?.bytes.length ?? 0,
    };
    process.stdout.write(`${JSON.stringify(report)}\n`);
  }
  if (view === undefined)
    throw new ExitError(EXIT.failure, `no such block: ${answer.missReason(0) ?? 'miss'}`);
}

/** Waits until the pipe has taken everything: the view must not be released before. */
function writeOut(bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}
