import { ordinaryMemory } from '@refill/interface';

/** Of the entries for which a table takes a page: worlds have some dozens of keys, and make and drop many tables. */
const PART = 1 / 16;

/** Pages of tables as small as worlds need them. Imported before the packages make any. */
ordinaryMemory.take = (words) => new Uint32Array(Math.ceil(words * PART));
