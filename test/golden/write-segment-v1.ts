// Writes test/golden/segment-v1/buried.txt anew. Only for a change of the format that is meant: run it by hand.
// sample.txt is of before tombstones named what they bury, and stays as it is.
import { writeFileSync } from 'node:fs';
import { PAGE_BYTES } from '@refill/interface';
import { sampleSegment } from '../fixtures/sample-segment.ts';

const { path, pages } = await sampleSegment();
const lines = [`# ${path}; pages of ${PAGE_BYTES} bytes in base64; pages that are not here are holes`];
for (const [number, bytes] of [...pages].sort(([a], [b]) => a - b)) {
  lines.push(`${number} ${Buffer.from(bytes).toString('base64')}`);
}
writeFileSync(new URL('segment-v1/buried.txt', import.meta.url), `${lines.join('\n')}\n`);
