import { readFileSync } from 'node:fs';
import { FIELD_NAMES, FIELDS, flagOf, shortFlagOf, variableOf } from '@refill/cli';
import t from 'tap';

const page = readFileSync(new URL('../../docs/config.md', import.meta.url), 'utf8');

t.test('the page lists every field of the schema as the schema has it, and no other', async (t) => {
  const rows = page.split('\n').filter((line) => /^\| `[a-z][A-Za-z]+` \|/.test(line));
  const expected = FIELD_NAMES.map((name) => {
    const { schema, fallbackText } = FIELDS[name];
    const flags = [flagOf(name), shortFlagOf(name)].filter((flag) => flag !== undefined);
    return `| \`${name}\` | ${flags.map((flag) => `\`${flag}\``).join(', ')} | \`${variableOf(name)}\` | ${fallbackText} | ${schema.description} |`;
  });
  t.same(rows, expected);
});
