import t from 'tap';
import { controlCompliance } from '../compliance/control-network.ts';
import { controls } from '../fixtures/control-members.ts';

for (const encryption of ['noise', 'tls'] as const) {
  t.test(`control over ${encryption} keeps the contract`, async (t) => {
    controlCompliance(t, (_, count) => controls(count, { encryption: [encryption] }));
  });
}
