import t from 'tap';
import { runSanitizedPeers } from '../fixtures/sanitized-peers.ts';

t.setTimeout(400_000);

t.test('transports run clean under AddressSanitizer and UBSan', { timeout: 400_000 }, (t) =>
  runSanitizedPeers(t, 'address,undefined', /cannot find.*lib(a|ub)san/),
);
