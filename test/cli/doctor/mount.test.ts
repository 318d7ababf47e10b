import { findMount } from '@refill/cli';
import t from 'tap';

const INFO = [
  '22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw',
  '40 22 0:35 / /mnt/a rw,noatime - nfs4 server:/export rw,vers=4.2',
  '41 22 0:36 / /mnt/with\\040space ro - fuse.wekafs weka ro',
  '42 40 0:37 / /mnt/a rw,relatime - lustre mgs@tcp:/fs rw',
  'garbage',
].join('\n');

t.test('the mount of a path is the last of the longest point above it', async (t) => {
  t.match(findMount(INFO, '/home/x'), { point: '/', type: 'ext4', source: '/dev/vda' });
  t.match(
    findMount(INFO, '/mnt/a/refill'),
    { point: '/mnt/a', type: 'lustre' },
    'a later mount covers an earlier one',
  );
  t.match(findMount(INFO, '/mnt/ab'), { point: '/' }, 'names that only begin alike are others');
  t.match(findMount(INFO, '/mnt/with space'), { type: 'fuse.wekafs', options: ['ro'] });
  t.equal(findMount('', '/'), undefined);
});
