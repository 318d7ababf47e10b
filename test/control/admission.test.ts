import t from 'tap';
import { chooseVersion, isProof, proofOf, type Session } from '../../packages/control/src/admission.ts';

const session: Session = {
  secret: new Uint8Array(32).fill(1),
  cluster: 'c',
  version: 1,
  dialer: 'alice',
  listener: 'bob',
  dialerNonce: new Uint8Array(32).fill(2),
  listenerNonce: new Uint8Array(32).fill(3),
};

t.test('a proof is bound to secret, cluster, version, both ends, both nonces and its role', async (t) => {
  const proof = proofOf('dialer', session);
  t.ok(isProof(proof, 'dialer', session));
  t.notOk(isProof(proof, 'listener', session), 'it cannot be sent back');
  const others: Partial<Session>[] = [
    { secret: new Uint8Array(32).fill(9) },
    { cluster: 'd' },
    { version: 2 },
    { dialer: 'mallory' },
    { listener: 'mallory' },
    { dialer: 'bob', listener: 'alice' },
    { dialer: 'alic', listener: 'ebob' },
    { dialerNonce: new Uint8Array(32).fill(9) },
    { listenerNonce: new Uint8Array(32).fill(9) },
  ];
  for (const other of others)
    t.notOk(isProof(proof, 'dialer', { ...session, ...other }), JSON.stringify(other));
  t.notOk(isProof(proof.subarray(1), 'dialer', session));
  t.notOk(isProof(new Uint8Array(0), 'dialer', session));
});

t.test('the highest version that both speak is chosen', async (t) => {
  t.equal(chooseVersion({ versionMin: 1, versionMax: 1 }), 1);
  t.equal(chooseVersion({ versionMin: 0, versionMax: 9 }), 1);
  for (const [versionMin, versionMax] of [
    [0, 0],
    [2, 9],
    [9, 2],
  ] as const) {
    t.throws(() => chooseVersion({ versionMin, versionMax }), { code: 'ERR_VERSION' });
  }
});
