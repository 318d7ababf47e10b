// node scripts/test-shared-fs.mjs <file system> [tap's options]: the tests of clusters on another shared file system
// than npm test takes. Installs that file system's Debian packages, so it is a command of its own. Root only.
import { spawnSync } from 'node:child_process';
import { environment, requireMachine, run } from './lib/steps.mjs';

const COMMON = ['fuse3', 'iproute2', 'iptables', 'util-linux'];
const PACKAGES = {
  gluster: ['glusterfs-server', 'glusterfs-client'],
  cephfs: ['ceph-mon', 'ceph-osd', 'ceph-mds', 'ceph-fuse', 'ceph-common'],
  moosefs: ['moosefs-master', 'moosefs-chunkserver', 'moosefs-client'],
};
const TESTS = ['test/cluster/shared-mounts.test.ts', 'test/cluster/sharing.test.ts'];

function fail(why) {
  console.error(why);
  process.exit(1);
}

const [name, ...options] = process.argv.slice(2);
const packages = PACKAGES[name];
if (packages === undefined) fail(`Name a file system: ${Object.keys(PACKAGES).join(', ')}`);
if (process.getuid() !== 0) fail('Mounts and network namespaces need root');
requireMachine(['g++']);

const isInstalled = (one) => {
  const { stdout } = spawnSync('dpkg', ['-s', one], { encoding: 'utf8' });
  return /^Status: install ok installed$/m.test(stdout);
};
const missing = [...COMMON, ...packages].filter((one) => !isInstalled(one));
if (missing.length > 0) {
  console.log(`== installing ${missing.join(' ')}`);
  // Run level 1: no daemon of the packages' own is started; the tests start theirs.
  const env = { ...environment, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const install = ['install', '-y', '-qq', '--no-install-recommends', ...missing];
  if (run('apt-get', ['update', '-qq'], env) !== 0 || run('apt-get', install, env) !== 0)
    fail(`the packages of ${name} could not be installed`);
}

const steps = [
  ['scripts/install.mjs'],
  ['scripts/build.mjs'],
  [
    'node_modules/tap/dist/esm/run.mjs',
    ...TESTS,
    '--jobs=1',
    ...(options.length > 0 ? options : ['--reporter=tap']),
  ],
];
// As in CI: what cannot run fails, and is not passed over.
for (const args of steps) {
  const status = run(process.execPath, args, { ...environment, REFILL_SHARED_FS: name, CI: 'true' });
  if (status !== 0) process.exit(status);
}
