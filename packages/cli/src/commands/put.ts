import { createReadStream } from 'node:fs';
import { BLOCK_BYTES_MAX, type PutOutcome } from '@refill/interface';
import { type Command, Option } from 'commander';
import { addNamespaceFlags, openNamespace, parseKey } from '../block-options.ts';
import { connectToNode } from '../connect.ts';
import { EXIT, ExitError } from '../exit-codes.ts';
import { fileError } from '../file-error.ts';
import { addConfigFlags, CLIENT_FIELDS, configOf } from '../options.ts';

const HELP = `
A key is 64 hexadecimal digits, or any text, which is hashed (SHA-256).

Examples:
  refill put prompt-1 block.bin
  head -c 1M /dev/urandom | refill put prompt-2 --durability shared --parent prompt-1

Prints the outcome: stored, or exists (blocks are immutable: the first write wins).`;

export function addPut(program: Command): Command {
  const command = program
    .command('put <key> [file]')
    .description('Stores a file, or standard input, as one block.')
    .option('--parent <key>', 'key of the block before it in the prompt')
    .addOption(
      new Option('--durability <level>', 'what is promised on return')
        .choices(['memory', 'shared'])
        .default('shared'),
    )
    .option('--json', 'one JSON object: key, outcome, bytes')
    .addHelpText('after', HELP)
    .action(put);
  return addConfigFlags(addNamespaceFlags(command), CLIENT_FIELDS);
}

/** The bytes of a block: of a file or stream that is longer, and may never end, not much more is read. */
async function read(file: string | undefined): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of file === undefined ? process.stdin : createReadStream(file)) {
      chunks.push(chunk as Buffer);
      length += (chunk as Buffer).length;
      if (length > BLOCK_BYTES_MAX) break;
    }
  } catch (cause) {
    throw fileError(file ?? 'standard input', 'read', cause);
  }
  if (length === 0 || length > BLOCK_BYTES_MAX) {
    throw new ExitError(
      EXIT.usage,
      `a block is 1 to ${BLOCK_BYTES_MAX} bytes, ${file ?? 'standard input'} has ${length === 0 ? 'none' : 'more'}. ` +
        'Split what is longer, leave out what is empty',
    );
  }
  return Buffer.concat(chunks);
}

async function put(name: string, file: string | undefined, options: Record<string, unknown>): Promise<void> {
  const bytes = await read(file === '-' ? undefined : file);
  await using store = await connectToNode(configOf(options).config);
  const namespace = await openNamespace(store, options);
  const key = parseKey(name);
  const parent = options.parent === undefined ? {} : { parent: parseKey(options.parent as string) };
  const outcome: PutOutcome = await namespace.put({ key, ...parent }, bytes, {
    durability: options.durability as 'memory' | 'shared',
  });
  const hex = Buffer.from(key).toString('hex');
  process.stdout.write(
    `${options.json === true ? JSON.stringify({ key: hex, outcome, bytes: bytes.length }) : outcome}\n`,
  );
  if (outcome !== 'stored' && outcome !== 'exists') {
    throw new ExitError(EXIT.failure, `the block was not stored: ${outcome}`);
  }
}
