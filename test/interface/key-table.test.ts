import { HashSlots, KEY_WORDS, KeyTable } from '@refill/interface';
import t from 'tap';
import { seededRandom } from '../fixtures/seeded-random.ts';

const random = seededRandom(t);

/** Few distinct words, so that keys often differ in one word only. */
function smallKey(target: Uint32Array): void {
  for (let word = 0; word < KEY_WORDS; word++) target[word] = random() < 0.8 ? 0 : (random() * 4) | 0;
}

t.test('behaves as a Map through inserts, deletions and growth', async (t) => {
  const table = new KeyTable({ seed: (random() * 2 ** 32) | 0 });
  const model = new Map<string, number>();
  const key = new Uint32Array(KEY_WORDS);
  for (let step = 0; step < 60_000; step++) {
    smallKey(key);
    const namespace = (random() * 3) | 0;
    const name = `${namespace}:${key.join()}`;
    const id = table.find(namespace, key, 0);
    if (id !== (model.get(name) ?? -1)) return t.fail(`step ${step}: found ${id}, model ${model.get(name)}`);
    if (id < 0) model.set(name, table.insert(namespace, key, 0));
    else if (random() < 0.5) {
      table.delete(id);
      model.delete(name);
    }
  }
  t.equal(table.size, model.size);
  t.equal(new Set(model.values()).size, model.size, 'ids are distinct');
  t.ok(table.idEnd <= 60_000);
  for (const [name, id] of model) {
    if (`${table.namespaceOf(id)}:${table.keyOf(id).join()}` !== name) return t.fail(`key of ${id}`);
  }
  const packed = new Uint32Array(512 * KEY_WORDS);
  for (let i = 0; i < 512; i++) smallKey(packed.subarray(i * KEY_WORDS));
  const ids = new Int32Array(512);
  table.findMany(1, packed, 512, ids);
  for (let i = 0; i < 512; i++) {
    if (ids[i] !== table.find(1, packed, i * KEY_WORDS)) return t.fail(`findMany differs at ${i}`);
  }
});

t.test('ids of deleted keys are given out again, the last first', async (t) => {
  const table = new KeyTable({ seed: 1 });
  const keys = Uint32Array.from({ length: 5 * KEY_WORDS }, (_, i) => i);
  for (let i = 0; i < 4; i++) t.equal(table.insert(0, keys, i * KEY_WORDS), i);
  table.delete(1);
  table.unlink(2);
  t.equal(table.find(0, keys, 2 * KEY_WORDS), -1);
  t.equal(table.insert(0, keys, 4 * KEY_WORDS), 1);
  table.release(2);
  t.equal(table.insert(0, keys, 2 * KEY_WORDS), 2);
  t.equal(table.idEnd, 4);
});

t.test('columns of the caller lie beside their key and stay apart', async (t) => {
  const table = new KeyTable({ seed: 1, columns: 2 });
  const keys = Uint32Array.from({ length: 3 * KEY_WORDS }, (_, i) => i);
  for (let i = 0; i < 3; i++) {
    const id = table.insert(9, keys, i * KEY_WORDS);
    table.pageOf(id)!.set([100 + i, 200 + i], table.rowAt(id));
  }
  for (let id = 0; id < 3; id++) {
    t.same([...table.pageOf(id)!.subarray(table.rowAt(id), table.rowAt(id) + 2)], [100 + id, 200 + id]);
    t.same([...table.keyOf(id)], [...keys.subarray(id * KEY_WORDS, (id + 1) * KEY_WORDS)]);
    t.equal(table.namespaceOf(id), 9);
  }
  t.equal(table.pageOf(1_000_000), undefined);
});

t.test('inserting a key twice breaks an invariant', async (t) => {
  const table = new KeyTable({ seed: 1 });
  const key = new Uint32Array(KEY_WORDS);
  table.insert(0, key, 0);
  t.throws(() => table.insert(0, key, 0), /invariant broken: an inserted key is new/);
  t.equal(table.insert(1, key, 0), 1, 'another namespace is another key');
});

t.test('slots stay right when hashes crowd at the end of a part and repeat', async (t) => {
  const slots = new HashSlots();
  const model = new Map<number, number>();
  for (let step = 0; step < 20_000; step++) {
    const id = (random() * 400) | 0;
    const hash = (0x7fffff00 + ((id * 7) % 256)) >>> 0;
    if (model.has(id)) {
      slots.remove(hash, id);
      model.delete(id);
    } else {
      slots.insert(hash, id);
      model.set(id, hash);
    }
  }
  for (let id = 0; id < 400; id++) {
    const hash = (0x7fffff00 + ((id * 7) % 256)) >>> 0;
    let slot = slots.seek(hash, -1);
    while (slot >= 0 && slots.idAt(hash, slot) !== id) slot = slots.seek(hash, slot + 1);
    if (slot >= 0 !== model.has(id)) return t.fail(`id ${id}`);
  }
});

t.test('a million random keys take less than 48 bytes each', async (t) => {
  const table = new KeyTable({ seed: 7 });
  const key = new Uint32Array(KEY_WORDS);
  for (let i = 0; i < 1_000_000; i++) {
    for (let word = 0; word < KEY_WORDS; word++) key[word] = random() * 2 ** 32;
    table.insert(0, key, 0);
  }
  t.ok(table.bytes / table.size < 48, `${(table.bytes / table.size).toFixed(2)} bytes a key`);
});
