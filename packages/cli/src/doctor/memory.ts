import { readFile, statfs } from 'node:fs/promises';
import { memoryAvailable } from '../config/memory.ts';
import { formatSize } from '../config/size.ts';
import type { Finding } from './finding.ts';

const HUGE = '/sys/kernel/mm/transparent_hugepage';

/** Memory for the arena: pages, `/dev/shm`, locking. */
export async function checkMemory(): Promise<Finding[]> {
  const text = async (path: string): Promise<string> => (await readFile(path, 'utf8').catch(() => '')).trim();
  const chosen = (line: string): string => /\[([^\]]+)\]/.exec(line)?.[1] ?? (line || 'absent');
  const [thp, shmem, meminfo, limits, uring] = await Promise.all([
    text(`${HUGE}/enabled`),
    text(`${HUGE}/shmem_enabled`),
    text('/proc/meminfo'),
    text('/proc/self/limits'),
    text('/proc/sys/kernel/io_uring_disabled'),
  ]);
  const reserved = Number(/^HugePages_Free:\s+(\d+)/m.exec(meminfo)?.[1] ?? 0);
  const pageKiB = Number(/^Hugepagesize:\s+(\d+)/m.exec(meminfo)?.[1] ?? 2048);
  const lockLimit = /^Max locked memory\s+(\S+)/m.exec(limits)?.[1] ?? 'unknown';
  const locked =
    lockLimit === 'unlimited'
      ? lockLimit
      : Number.isFinite(Number(lockLimit))
        ? formatSize(Number(lockLimit))
        : lockLimit;
  const shm = await statfs('/dev/shm').catch(() => undefined);
  const shmBytes = shm === undefined ? 0 : shm.bavail * shm.bsize;
  const transparent = ['always', 'within_size', 'advise'].includes(chosen(shmem));
  return [
    {
      name: 'memory available',
      level: 'info',
      found: formatSize(memoryAvailable()),
      figures: { bytes: memoryAvailable() },
    },
    {
      name: 'huge pages',
      level: reserved > 0 || transparent ? 'ok' : 'info',
      found: `${reserved} reserved and free of ${formatSize(pageKiB * 1024)}, transparent: ${chosen(thp)}, for shared memory: ${chosen(shmem)}`,
      ...(reserved > 0 || transparent
        ? {}
        : {
            advice: `Reserve some (sysctl vm.nr_hugepages=N) or run: echo advise > ${HUGE}/shmem_enabled; without, pages are collapsed one by one where the kernel can`,
          }),
      figures: { reservedFree: reserved, transparent: chosen(thp), sharedMemory: chosen(shmem) },
    },
    {
      name: '/dev/shm',
      level: shmBytes >= 256 * 1024 ** 2 ? 'ok' : 'warn',
      found: shm === undefined ? 'absent' : `${formatSize(shmBytes)} free`,
      ...(shmBytes >= 256 * 1024 ** 2
        ? {}
        : { advice: 'Engines keep their regions there; in a container give it more (--shm-size)' }),
      figures: { freeBytes: shmBytes },
    },
    {
      name: 'memlock',
      level: 'info',
      found: locked,
      advice:
        'Registered buffers count against it unless the process has CAP_IPC_LOCK or runs on Linux 5.12 or newer with cgroup accounting',
    },
    {
      name: 'io_uring by sysctl',
      level: uring === '' || uring === '0' ? 'ok' : 'warn',
      found:
        uring === ''
          ? 'no switch in this kernel'
          : uring === '0'
            ? 'allowed'
            : uring === '1'
              ? 'for privileged processes only'
              : 'disabled',
      ...(uring === '1' || uring === '2'
        ? { advice: 'Run: sysctl kernel.io_uring_disabled=0; without it threads do the I/O' }
        : {}),
    },
  ];
}
