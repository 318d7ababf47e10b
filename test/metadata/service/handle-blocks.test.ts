import { MemoryEngine } from '@refill/metadata';
import t from 'tap';
import { FINGERPRINT, keysOf, rowsOf } from '../../fixtures/directory-world.ts';
import { ServiceWorld } from '../../fixtures/service-world.ts';

t.test('a removal that was answered survives a crash of the machine of the service', async (t) => {
  for (const memoryBudgetBytes of [undefined, 0]) {
    const engine = new MemoryEngine();
    const world = await new ServiceWorld(
      {},
      { engine, ...(memoryBudgetBytes === 0 && { memoryBudgetBytes }) },
    ).start();
    const a = await world.joined('a');
    await a.directory.openNamespace(FINGERPRINT);
    const { epoch } = a.cluster.lease;
    const segment = { id: new Uint8Array(16).fill(1), namespace: 0, node: 'a', epoch, sizeBytes: 8 << 20 };
    const { index } = await a.directory.createSegment(segment);
    await a.directory.commit('a', epoch, rowsOf(index, 0, 3), 3, new Uint8Array(3));
    await a.directory.checkpoint();
    t.equal(await a.directory.remove(0, keysOf(0, 2), 2), 2);
    await world.service.stop();
    engine.crash();
    await world.start();
    await world.clock.advance(3000);
    t.equal(world.local.stats.blocks, 1, 'neither the database nor the checkpoint brings it back');
    t.equal(await a.directory.matchPrefix(0, keysOf(0, 1), 1), 0);
    t.equal(await a.directory.matchPrefix(0, keysOf(2, 1), 1), 1);
    await world.stop();
  }
});
