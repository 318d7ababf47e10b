import { RESERVE_ROW, RESERVE_ROW_WORDS, RESERVE_STATUS } from '@refill/interface';
import t from 'tap';
import { slotsOf } from '../../../packages/store/src/server/answers.ts';

t.test('the slots of rows with one status are packed, in their order', async (t) => {
  const statuses = [RESERVE_STATUS.reserved, RESERVE_STATUS.exists, RESERVE_STATUS.reserved];
  const rows = new Uint32Array(3 * RESERVE_ROW_WORDS);
  statuses.forEach((status, i) => {
    rows[i * RESERVE_ROW_WORDS + RESERVE_ROW.status] = status;
    rows[i * RESERVE_ROW_WORDS + RESERVE_ROW.slot] = 40 + i;
  });
  const [slots, count] = slotsOf(rows, RESERVE_ROW_WORDS, RESERVE_ROW, RESERVE_STATUS.reserved);
  t.same([...slots.subarray(0, count)], [40, 42]);
  t.equal(slotsOf(rows, RESERVE_ROW_WORDS, RESERVE_ROW, RESERVE_STATUS.noRoom)[1], 0);
});
