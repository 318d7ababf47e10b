import { FILE_IDENTITY_BYTES } from '@refill/interface';
import t from 'tap';
import { fileIdentity } from '../../../packages/store/src/segment/file-identity.ts';

const BASE = { namespaceId: new Uint8Array(16).fill(1), segmentId: new Uint8Array(16).fill(2), epoch: 3 };

t.test('namespace, segment and epoch follow each other, the epoch little-endian', (t) => {
  const bytes = fileIdentity({ ...BASE, epoch: 0x1_0203_0405 });
  t.equal(bytes.length, FILE_IDENTITY_BYTES);
  t.same([...bytes], [...new Array(16).fill(1), ...new Array(16).fill(2), 5, 4, 3, 2, 1, 0, 0, 0]);
  t.end();
});

t.test('another byte of any of the three is another identity', (t) => {
  const base = Buffer.from(fileIdentity(BASE));
  for (let at = 0; at < 16; at++) {
    for (const field of ['namespaceId', 'segmentId'] as const) {
      const changed = BASE[field].slice();
      changed[at]! ^= 1;
      t.not(Buffer.compare(base, fileIdentity({ ...BASE, [field]: changed })), 0);
    }
  }
  for (let bit = 0; bit < 53; bit++)
    t.not(Buffer.compare(base, fileIdentity({ ...BASE, epoch: 3 + 2 ** bit })), 0);
  t.end();
});
