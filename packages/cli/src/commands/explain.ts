import type { ReadExplanation } from '@refill/interface';
import type { Command } from 'commander';
import { addNamespaceFlags, openNamespace, parseKey } from '../block-options.ts';
import { formatSize } from '../config/size.ts';
import { connectToNode } from '../connect.ts';
import { addConfigFlags, CLIENT_FIELDS, configOf } from '../options.ts';
import { count, duration, rate, table } from '../output/table.ts';

const HELP = `
A key is 64 hexadecimal digits, or any text, which is hashed (SHA-256). Keys are those of one prompt, in order.
Reads nothing: it tells what a read would do now. A source with 0 loads has figures that it is taken to have.

Examples:
  refill explain --read prompt-1 prompt-2
  refill explain --read prompt-1 --json | jq .plan

Exit code 0 also when keys are missing; 3 when no node answers.`;

export function addExplain(program: Command): Command {
  const command = program
    .command('explain')
    .description(
      'Where a read of keys would come from, how long it would take, and by which measured figures.',
    )
    .requiredOption('--read <keys...>', 'keys that would be read')
    .option('--json', 'one object: { keys, misses, sources, plan, estimatedMs }')
    .addHelpText('after', HELP)
    .action(explain);
  return addConfigFlags(addNamespaceFlags(command), CLIENT_FIELDS);
}

async function explain(options: Record<string, unknown>): Promise<void> {
  await using store = await connectToNode(configOf(options).config);
  const namespace = await openNamespace(store, options);
  const explanation = await namespace.explain((options.read as string[]).map(parseKey));
  const text = options.json === true ? JSON.stringify(explanation) : explanationTable(explanation);
  process.stdout.write(`${text}\n`);
}

function explanationTable({ keys, misses, sources, plan, estimatedMs }: ReadExplanation): string {
  const planned = table(
    [
      ['from', 'blocks', 'bytes', 'ready in'],
      ...plan.map(({ name, blocks, bytes, estimatedMs }) => [
        name,
        count(blocks),
        formatSize(bytes),
        duration(estimatedMs * 1000),
      ]),
      ['nowhere', count(misses), '-', '-'],
      ['all', count(keys), '-', duration(estimatedMs * 1000)],
    ],
    '',
  );
  const measured = table(
    [
      ['source', 'latency', 'bandwidth', 'in flight', 'loads', 'failures', 'left alone for'],
      ...sources.map((source) => [
        source.name,
        duration(source.latencyMs * 1000),
        rate(source.bytesPerMs, 1),
        formatSize(source.inFlightBytes),
        count(source.loads),
        count(source.failures),
        source.suspendedMs > 0 ? duration(source.suspendedMs * 1000) : '-',
      ]),
    ],
    '',
  );
  return `${planned}\n\n${measured}`;
}
