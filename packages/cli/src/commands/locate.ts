import { LOCATE_NODES_DEFAULT, LOCATE_NODES_MAX, type NodeResidency } from '@refill/interface';
import type { Command } from 'commander';
import { addNamespaceFlags, openNamespace, parseKey } from '../block-options.ts';
import { connectToNode } from '../connect.ts';
import { addConfigFlags, CLIENT_FIELDS, configOf, wholeFlag } from '../options.ts';
import { count, table } from '../output/table.ts';

const HELP = `
A key is 64 hexadecimal digits, or any text, which is hashed (SHA-256). Keys are those of one prompt, in order.

Examples:
  refill locate prompt-1 prompt-2
  refill locate prompt-1 --json | jq -r '.[0].node'

Exit code 0 also when no node holds any of them; 3 when no node answers.`;

export function addLocate(program: Command): Command {
  const command = program
    .command('locate <keys...>')
    .description('Which nodes hold how much of a list of keys in memory, best first.')
    .option(
      '--limit <n>',
      `most nodes to name (default: ${LOCATE_NODES_DEFAULT})`,
      wholeFlag(1, LOCATE_NODES_MAX),
    )
    .option('--json', 'a list of { node, prefixBlocks, blocks, tiers, addresses }')
    .addHelpText('after', HELP)
    .action(locate);
  return addConfigFlags(addNamespaceFlags(command), CLIENT_FIELDS);
}

async function locate(names: string[], options: Record<string, unknown>): Promise<void> {
  await using store = await connectToNode(configOf(options).config);
  const namespace = await openNamespace(store, options);
  const nodes = await namespace.locate(names.map(parseKey), { limit: options.limit as number | undefined });
  process.stdout.write(`${options.json === true ? JSON.stringify(nodes) : nodesTable(nodes)}\n`);
}

function nodesTable(nodes: readonly NodeResidency[]): string {
  return table(
    [
      ['node', 'prefix', 'blocks', 'addresses'],
      ...nodes.map(({ node, prefixBlocks, blocks, addresses }) => [
        node,
        count(prefixBlocks),
        count(blocks),
        addresses.join(' ') || '-',
      ]),
    ],
    '',
  );
}
