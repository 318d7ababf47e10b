import { LevelEngine, MemoryEngine } from '@refill/metadata';
import t from 'tap';
import { directoryCompliance } from '../compliance/directory.ts';

t.test('on LevelDB', async (t) => directoryCompliance(t, (t) => new LevelEngine({ path: t.testdir() })));
t.test('in memory', async (t) => directoryCompliance(t, () => new MemoryEngine()));
t.test('on LevelDB with no memory for blocks', async (t) =>
  directoryCompliance(t, (t) => new LevelEngine({ path: t.testdir() }), { memoryBudgetBytes: 0 }),
);
t.test('in memory with no memory for blocks', async (t) =>
  directoryCompliance(t, () => new MemoryEngine(), { memoryBudgetBytes: 0 }),
);
