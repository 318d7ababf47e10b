import { formatSize, parseSize } from '@refill/cli';
import t from 'tap';

t.test('sizes are read in powers of two and of ten', async (t) => {
  const sizes: [string, number | undefined][] = [
    ['4GiB', 4 * 2 ** 30],
    ['64 KiB', 65_536],
    ['1.5g', 1.5 * 2 ** 30],
    ['1GB', 1e9],
    ['512', 512],
    ['0', 0],
    ['', undefined],
    ['GiB', undefined],
    ['-1', undefined],
    ['1 GiB x', undefined],
    ['1e3', undefined],
    ['9999999TiB', undefined],
  ];
  for (const [text, bytes] of sizes) t.equal(parseSize(text), bytes, JSON.stringify(text));
});

t.test('sizes are written so that they can be read again when exact', async (t) => {
  for (const bytes of [0, 1, 1023, 1024, 65_536, 2 ** 30, 3 * 2 ** 40])
    t.equal(parseSize(formatSize(bytes)), bytes);
  t.equal(formatSize(1536), '1.50 KiB');
});
