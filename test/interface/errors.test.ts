import { ERROR_CODES, errorCodeOf, RefillError } from '@refill/interface';
import t from 'tap';

t.test('every code has a number of its own', async (t) => {
  const numbers = Object.values(ERROR_CODES);
  t.equal(new Set(numbers).size, numbers.length);
  for (const [code, number] of Object.entries(ERROR_CODES)) t.equal(errorCodeOf(number), code);
});

t.test('a number from a newer version reads as a protocol error', async (t) => {
  t.equal(errorCodeOf(60_000), 'ERR_PROTOCOL');
});

t.test('the fix is part of the message', async (t) => {
  const error = new RefillError('ERR_CONFIG', 'store.root is missing', { fix: 'Give --root DIR' });
  t.equal(error.message, 'store.root is missing. Give --root DIR');
});
