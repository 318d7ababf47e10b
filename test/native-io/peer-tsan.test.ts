import t from 'tap';
import { runSanitizedPeers } from '../fixtures/sanitized-peers.ts';

t.setTimeout(400_000);

t.test('transports run clean under ThreadSanitizer', { timeout: 400_000 }, (t) =>
  runSanitizedPeers(t, 'thread', /cannot find.*libtsan/),
);
