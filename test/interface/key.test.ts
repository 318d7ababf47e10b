import { assertKey, keyOf, packKeys } from '@refill/interface';
import t from 'tap';

t.test('an engine key of any length becomes 32 bytes', async (t) => {
  t.equal(keyOf('model@00000001@0@abcdef').length, 32);
  t.same(keyOf('a'), keyOf(new TextEncoder().encode('a')));
  t.notSame(keyOf('a'), keyOf('b'));
});

t.test('a key of another length or type is refused with the fix', async (t) => {
  t.throws(
    () => assertKey(new Uint8Array(31)),
    /key must be 32 bytes, got 31; hash engine keys with keyOf\(\)/,
  );
  t.throws(() => assertKey('abc', 'parent'), /parent must be a Uint8Array of 32 bytes, got string/);
  t.throws(() => packKeys([new Uint8Array(32), new Uint8Array(0)]), /keys\[1\] must be 32 bytes, got 0/);
});

t.test('packed keys keep their order', async (t) => {
  const keys = ['a', 'b', 'c'].map((name) => keyOf(name));
  const packed = packKeys(keys);
  for (const [i, key] of keys.entries()) t.same(packed.subarray(i * 32, i * 32 + 32), new Uint8Array(key));
});
