import {
  completeFingerprint,
  type Fingerprint,
  fingerprintBytes,
  fingerprintDifference,
  namespaceId,
} from '@refill/interface';
import t from 'tap';

const base: Fingerprint = {
  name: 'llama',
  model: 'Llama-3-70B',
  dtype: 'bfloat16',
  layout: 'layers-first',
  tokensPerBlock: 256,
};

t.test('equal fingerprints have equal bytes whatever the order of their fields', async (t) => {
  const shuffled: Fingerprint = {
    tokensPerBlock: 256,
    layout: 'layers-first',
    extra: { b: '2', a: '1' },
    dtype: 'bfloat16',
    model: 'Llama-3-70B',
    name: 'llama',
  };
  t.same(fingerprintBytes(shuffled), fingerprintBytes({ ...base, extra: { a: '1', b: '2' } }));
});

t.test('defaults are part of the identity, so leaving one out changes nothing', async (t) => {
  t.same(
    namespaceId(base),
    namespaceId({ ...base, owner: 'default', ranks: 1, revision: '', hashScheme: 'sha256' }),
  );
});

t.test('any differing field makes another namespace and is named', async (t) => {
  for (const [field, other] of Object.entries({
    name: 'x',
    owner: 'x',
    model: 'x',
    revision: 'x',
    dtype: 'x',
    layout: 'x',
    tokensPerBlock: 16,
    ranks: 2,
    hashScheme: 'x',
    extra: { lora: '1' },
  })) {
    const changed = { ...base, [field]: other } as Fingerprint;
    t.notSame(namespaceId(changed), namespaceId(base), field);
    t.equal(fingerprintDifference(base, changed), field);
  }
  t.equal(fingerprintDifference(base, { ...base }), undefined);
});

t.test('bad fields are refused by name, value and fix', async (t) => {
  const bad: [unknown, RegExp][] = [
    [null, /fingerprint must be an object/],
    [{ ...base, name: '' }, /fingerprint\.name must match .* got ""/],
    [{ ...base, name: 'a b' }, /fingerprint\.name must match .* got "a b"/],
    [{ ...base, model: 7 }, /fingerprint\.model must be a string, got 7/],
    [{ ...base, tokensPerBlock: 0 }, /fingerprint\.tokensPerBlock must be a whole number from 1, got 0/],
    [{ ...base, ranks: 1.5 }, /fingerprint\.ranks must be a whole number from 1, got 1\.5/],
    [
      { ...base, shape: 'x' },
      /fingerprint\.shape is unknown; put engine-specific fields under fingerprint\.extra/,
    ],
    [{ ...base, extra: { '1': 'x' } }, /fingerprint\.extra has a field named "1"/],
    [{ ...base, extra: { a: 1 } }, /fingerprint\.extra\.a must be a string, got 1/],
  ];
  for (const [fingerprint, message] of bad) {
    t.throws(() => completeFingerprint(fingerprint as Fingerprint), { name: 'TypeError', message });
  }
  t.throws(() => fingerprintBytes({ ...base, extra: { a: 'x'.repeat(4000) } }), {
    name: 'TypeError',
    message: /at most 3072 fit/,
  });
});
