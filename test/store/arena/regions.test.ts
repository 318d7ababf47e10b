import { constants } from 'node:os';
import { type BlockIO, RefillError } from '@refill/interface';
import t from 'tap';
import { Regions } from '../../../packages/store/src/arena/regions.ts';
import { MemoryIO } from '../../fixtures/memory-io.ts';

const open = (): boolean => false;

function regionsOf(): { io: MemoryIO; regions: Regions } {
  const io = new MemoryIO([65_536]);
  io.files.set('/dev/shm/engine', new Uint8Array(8192));
  return { io, regions: new Regions(io as unknown as BlockIO) };
}

t.test('a region belongs to its session and is detached when nothing uses it any more', async (t) => {
  const { io, regions } = regionsOf();
  const id = await regions.attach(1, { path: '/dev/shm/engine' }, 8192, open);
  t.throws(() => regions.get(2, id), { code: 'ERR_HANDLE_UNKNOWN' });
  const region = regions.get(1, id);
  regions.begin(region);
  regions.hold(region, 1);
  let detached = false;
  const gone = regions.detach(region).then(() => {
    detached = true;
  });
  t.throws(() => regions.get(1, id), { code: 'ERR_HANDLE_UNKNOWN' }, 'it is about to go');
  regions.end(region);
  await Promise.resolve();
  t.equal(detached, false, 'the kernel may still write there');
  regions.release(region.buffer);
  await gone;
  t.match({ attached: io.regions.size, known: regions.size }, { attached: 0, known: 0 });
});

t.test('the regions of a session go with it, also one that is still being attached', async (t) => {
  const { io, regions } = regionsOf();
  await regions.attach(1, { path: '/dev/shm/engine' }, 4096, open);
  const other = await regions.attach(2, { path: '/dev/shm/engine' }, 4096, open);
  regions.detachAll(1);
  t.same([...io.regions.keys()], [regions.get(2, other).buffer]);
  const late = regions.attach(1, { path: '/dev/shm/engine' }, 4096, () => true);
  await t.rejects(late, { code: 'ERR_NODE_CLOSED' });
  t.equal(io.regions.size, 1);
});

t.test('what a client gave wrong is an argument, what failed here is not', async (t) => {
  const { io, regions } = regionsOf();
  await t.rejects(regions.attach(1, { path: '/none' }, 8192, open), {
    code: 'ERR_INVALID_ARGUMENT',
    message: /source\.path \/none cannot be mapped as a region of 8192 bytes: .* Give a shared-memory file/,
  });
  await t.rejects(regions.attach(1, { fd: 9 }, 1, open), {
    code: 'ERR_INVALID_ARGUMENT',
    message: /source\.fd, the descriptor that was passed, cannot be mapped/,
  });
  await t.rejects(regions.attach(1, { path: '/dev/shm/engine' }, 0, open), {
    code: 'ERR_INVALID_ARGUMENT',
    message: /sizeBytes must be a whole number from 1, got 0/,
  });
  io.attachRegion = () =>
    Promise.reject(new RefillError('ERR_STORAGE_FAILED', 'no memory', { errno: constants.errno.ENOMEM }));
  await t.rejects(regions.attach(1, { path: '/x' }, 1, open), { code: 'ERR_STORAGE_FAILED' });
  t.equal(regions.size, 0);
});
