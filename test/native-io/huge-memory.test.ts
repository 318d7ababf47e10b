import { KeyTable } from '@refill/interface';
import { hugeMemory } from '@refill/native-io';
import t from 'tap';

t.test('pages are zeroed, lie apart, and serve again when given back', async (t) => {
  let made = 0;
  const memory = hugeMemory((sizeBytes) => {
    made++;
    return { fd: -1, sizeBytes, panes: [new Uint8Array(sizeBytes)], pageBytes: 4096, free: () => {} };
  });
  const pages = [memory.take(1024), memory.take(1024), memory.take(8)];
  for (const [i, page] of pages.entries()) page.fill(i + 1);
  for (const [i, page] of pages.entries()) t.ok(page.every((word) => word === i + 1));
  memory.give(pages[1]!);
  const again = memory.take(1024);
  t.equal(again.byteOffset, pages[1]!.byteOffset);
  t.ok(again.every((word) => word === 0));
  t.equal(made, 1);
  t.equal(memory.take(8 * 1024 * 1024).length, 8 * 1024 * 1024, 'larger than a chunk');
  t.equal(made, 2);
});

t.test('a table in huge pages finds its keys', async (t) => {
  const table = new KeyTable({ seed: 1, columns: 2, memory: hugeMemory() });
  const keys = Uint32Array.from({ length: 20_000 * 8 }, (_, i) => Math.imul(i, 0x9e3779b1));
  for (let i = 0; i < 20_000; i++) table.insert(0, keys, 8 * i);
  const ids = new Int32Array(20_000);
  table.findMany(0, keys, 20_000, ids);
  t.ok(ids.every((id, i) => id === i));
  table.free();
});
