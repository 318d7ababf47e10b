import t from 'tap';
import { peerTransportCompliance } from '../compliance/peer-transport.ts';
import { peerPair } from '../fixtures/peer-pair.ts';

t.test('the transport on TCP', async (t) => {
  peerTransportCompliance(t, (t) => peerPair(t));
});
