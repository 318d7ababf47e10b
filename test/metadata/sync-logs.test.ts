import { join } from 'node:path';
import t from 'tap';
import { syncLogs } from '../../packages/metadata/src/sync-logs.ts';

/** A folder of files by name; what is called is noted, and a name in `gone` has just been removed. */
function diskOf(names: string[], { gone = 'none', failing = 'none' } = {}) {
  const calls: string[] = [];
  const open = async (path: string) => {
    if (path === join('db', gone)) throw Object.assign(new Error('gone'), { code: 'ENOENT' });
    const call = (what: string) => async () => {
      calls.push(`${what} ${path}`);
      if (what === 'datasync' && path === join('db', failing)) throw new Error('EIO');
    };
    return { datasync: call('datasync'), sync: call('sync'), close: call('close') };
  };
  return { calls, readdir: async () => names, open };
}

t.test('every log and the names of the folder are synced, nothing else is touched', async (t) => {
  const disk = diskOf(['000012.log', 'MANIFEST-000004', '000011.ldb', 'LOG', '000009.log', '1234567.log']);
  await syncLogs('db', disk);
  t.same(disk.calls, [
    'datasync db/000012.log',
    'close db/000012.log',
    'datasync db/000009.log',
    'close db/000009.log',
    'datasync db/1234567.log',
    'close db/1234567.log',
    'sync db',
    'close db',
  ]);
});

t.test('a log that was removed meanwhile is in a table, and the others are synced', async (t) => {
  const disk = diskOf(['000001.log', '000002.log'], { gone: '000001.log' });
  await syncLogs('db', disk);
  t.same(disk.calls, ['datasync db/000002.log', 'close db/000002.log', 'sync db', 'close db']);
});

t.test('a sync that fails is told, and its file is closed', async (t) => {
  const disk = diskOf(['000001.log'], { failing: '000001.log' });
  await t.rejects(syncLogs('db', disk), { message: 'EIO' });
  t.same(disk.calls, ['datasync db/000001.log', 'close db/000001.log']);
});
