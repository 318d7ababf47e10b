import { COUNTED_MAX } from '../protocol/message.ts';
import type { WordReader } from '../protocol/words.ts';
import type { Replica } from './replica.ts';

/** Takes the live counts of segments and namespaces that an answer tells into the replica. */
export function readCounts(body: WordReader, { segments, namespaces }: Replica): void {
  for (let left = body.count(COUNTED_MAX, 5); left > 0; left--) {
    const segment = segments.get(body.word());
    const liveBlocks = body.wide();
    const liveBytes = body.wide();
    if (segment !== undefined) Object.assign(segment, { liveBlocks, liveBytes });
  }
  for (let left = body.count(COUNTED_MAX, 5); left > 0; left--) {
    const namespace = namespaces.get(body.word());
    const blocks = body.wide();
    const bytes = body.wide();
    if (namespace !== undefined) Object.assign(namespace, { blocks, bytes });
  }
}
