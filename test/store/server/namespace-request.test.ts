import t from 'tap';
import { namespaceRequest } from '../../../packages/store/src/server/namespace-request.ts';

const fingerprint = { name: 'demo', model: 'm', dtype: 'bfloat16', layout: 'l', tokensPerBlock: 16 };

t.test('a request is a complete fingerprint and a policy', async (t) => {
  const { fingerprint: complete, policy } = namespaceRequest({ fingerprint, policy: { compress: true } });
  t.match(complete, { ...fingerprint, owner: 'default', ranks: 1, extra: {} });
  t.same(policy, { compress: true });
  for (const none of [undefined, null, {}])
    t.same(namespaceRequest({ fingerprint, policy: none }).policy, {});
});

t.test('what is wrong is named with its value', async (t) => {
  const cases: [json: unknown, message: RegExp][] = [
    [null, /must be an object \{"fingerprint"/],
    ['text', /must be an object/],
    [{}, /fingerprint must be an object, got undefined/],
    [{ fingerprint: 7 }, /fingerprint must be an object, got 7/],
    [{ fingerprint: { ...fingerprint, dtype: 8 } }, /fingerprint\.dtype must be a string, got 8/],
    [{ fingerprint: { ...fingerprint, tokensPerBlock: 0 } }, /fingerprint\.tokensPerBlock .* got 0/],
    [{ fingerprint: { ...fingerprint, color: 'red' } }, /fingerprint\.color is unknown; put .*extra/],
    [{ fingerprint, policy: 'fast' }, /policy must be an object, got string/],
    [{ fingerprint, policy: { compress: 1 } }, /policy\.compress must be true or false, got 1/],
    [{ fingerprint, policy: { ttl: 1 } }, /policy\.ttl is unknown; there is policy\.compress/],
  ];
  for (const [json, message] of cases)
    t.throws(() => namespaceRequest(json), { name: 'TypeError', message }, JSON.stringify(json));
});
