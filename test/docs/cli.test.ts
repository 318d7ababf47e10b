import { readFileSync } from 'node:fs';
import { createProgram, EXIT, FIELD_NAMES, flagOf } from '@refill/cli';
import t from 'tap';

const page = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');

t.test('the page has a section for every command and names each of its own options', async (t) => {
  const general = new Set(['--config', '--debug', ...FIELD_NAMES.map(flagOf)]);
  const sections = new Map(
    page
      .split(/^## refill /m)
      .slice(1)
      .map((text) => [text.split('\n', 1)[0], text]),
  );
  const { commands } = createProgram();
  t.same(new Set(sections.keys()), new Set(commands.map((command) => command.name())));
  for (const command of commands) {
    const section = sections.get(command.name()) ?? '';
    for (const { long } of command.options) {
      if (long && !general.has(long)) t.ok(section.includes(`\`${long}`), `${command.name()} ${long}`);
    }
    t.match(command.description(), /\.$/, 'a description is a sentence');
  }
});

t.test('the page lists every exit code', async (t) => {
  for (const code of Object.values(EXIT)) t.match(page, new RegExp(`^\\| ${code} \\|`, 'm'));
});
