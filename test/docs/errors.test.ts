import { readFileSync } from 'node:fs';
import { ERROR_CODES } from '@refill/interface';
import t from 'tap';

const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
const rows = [...page.matchAll(/^\| `(ERR_[A-Z_]+)` \| (\d+) \| (.+) \| (.+) \|$/gm)];

t.test('every code of the table is documented with its number', async (t) => {
  const documented = new Map(rows.map(([, code, number]) => [code!, Number(number)]));
  for (const [code, number] of Object.entries(ERROR_CODES)) t.equal(documented.get(code), number, code);
});

t.test('every documented code exists and says when it happens and what to do', async (t) => {
  for (const [, code, , when, action] of rows) {
    t.ok(code! in ERROR_CODES, `${code} is in the table`);
    t.ok(when!.length > 20 && action!.length > 20, `${code} is explained`);
  }
  t.equal(rows.length, Object.keys(ERROR_CODES).length, 'no code is documented twice');
});
