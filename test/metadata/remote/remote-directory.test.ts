import { LevelEngine, MemoryEngine } from '@refill/metadata';
import t from 'tap';
import { directoryCompliance } from '../../compliance/directory.ts';
import { RemoteDirectoryWorld } from '../../fixtures/service-world.ts';
import { SimDirectoryWorld } from '../../fixtures/sim-directory-world.ts';

t.test('over a service that is restarted', async (t) =>
  directoryCompliance(
    t,
    () => new MemoryEngine(),
    {},
    (engine) => new RemoteDirectoryWorld(engine, { anew: false }),
  ),
);
t.test('with the node restarted too, on LevelDB', async (t) =>
  directoryCompliance(
    t,
    (t) => new LevelEngine({ path: t.testdir() }),
    {},
    (engine) => new RemoteDirectoryWorld(engine, { anew: true }),
  ),
);
t.test('over a service with no memory for blocks', async (t) =>
  directoryCompliance(
    t,
    () => new MemoryEngine(),
    {},
    (engine) => new RemoteDirectoryWorld(engine, { anew: false, memoryBudgetBytes: 0 }),
  ),
);
t.test('over a simulated network', async (t) =>
  directoryCompliance(
    t,
    () => new MemoryEngine(),
    {},
    (engine) => new SimDirectoryWorld(engine),
  ),
);
t.test('over a network on which messages overtake one another', async (t) =>
  directoryCompliance(
    t,
    () => new MemoryEngine(),
    {},
    (engine) => new SimDirectoryWorld(engine, { delayMsMax: 50 }),
  ),
);
