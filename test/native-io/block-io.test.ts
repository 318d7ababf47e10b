import { createBlockIO } from '@refill/native-io';
import t from 'tap';
import { blockIOCompliance, COMPLIANCE_ARENA_BYTES } from '../compliance/block-io.ts';

t.setTimeout(600_000);

for (const engine of ['io_uring', 'threads'] as const) {
  for (const direct of ['on', 'off'] as const) {
    t.test(`the ${engine} engine with O_DIRECT ${direct}`, async (t) => {
      blockIOCompliance(t, (t) =>
        createBlockIO({ root: t.testdir({}), arenaBytes: COMPLIANCE_ARENA_BYTES, engine, direct }),
      );
    });
  }
}
