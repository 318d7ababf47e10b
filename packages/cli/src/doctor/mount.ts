import { readFile, realpath, statfs } from 'node:fs/promises';
import { formatSize } from '../config/size.ts';
import type { Finding } from './finding.ts';

interface Mount {
  point: string;
  type: string;
  source: string;
  options: string[];
}

/** The mount that a path lies on: the last one of the longest mount point above it (proc_pid_mountinfo(5)). */
export function findMount(mountinfo: string, path: string): Mount | undefined {
  let best: Mount | undefined;
  for (const line of mountinfo.split('\n')) {
    const [left, right] = line.split(' - ');
    if (left === undefined || right === undefined) continue;
    const fields = left.split(' ');
    const point = unescapeOctal(fields[4] ?? '');
    if (path !== point && !path.startsWith(point === '/' ? '/' : `${point}/`)) continue;
    if (best !== undefined && point.length < best.point.length) continue;
    const [type = '', source = '', superOptions = ''] = right.split(' ');
    best = {
      point,
      type,
      source: unescapeOctal(source),
      options: [...(fields[5] ?? '').split(','), ...superOptions.split(',')],
    };
  }
  return best;
}

/** Spaces and the like are octal there. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** File system, atime mode and space behind a directory. */
export async function checkMount(directory: string): Promise<Finding[]> {
  const path = await realpath(directory);
  const mount = findMount(await readFile('/proc/self/mountinfo', 'utf8'), path);
  const { type, blocks, bavail, bsize, files, ffree } = await statfs(path);
  const magic = `0x${(type >>> 0).toString(16)}`;
  const options = mount?.options ?? [];
  const atime = ['noatime', 'relatime', 'strictatime', 'nodiratime'].filter((option) =>
    options.includes(option),
  );
  const readOnly = options.includes('ro');
  const [freeBytes, totalBytes] = [bavail * bsize, blocks * bsize];
  const freeShare = totalBytes > 0 ? freeBytes / totalBytes : 0;
  return [
    {
      name: 'file system',
      level: readOnly ? 'fail' : 'ok',
      found: `${mount?.type ?? 'unknown'} (${magic}) from ${mount?.source ?? '?'} at ${mount?.point ?? '?'}${readOnly ? ', mounted read-only' : ''}`,
      ...(readOnly ? { advice: 'Mount it for writing' } : {}),
      figures: { type: mount?.type ?? '', magic },
    },
    {
      name: 'atime',
      level: 'info',
      found: atime.length > 0 ? atime.join(', ') : 'updated on every read',
      advice: 'Refill keeps recency itself and needs no atime; noatime saves the file system work',
    },
    {
      name: 'space',
      level: freeShare < 0.02 ? 'warn' : 'ok',
      found: `${formatSize(freeBytes)} free of ${formatSize(totalBytes)}`,
      ...(freeShare < 0.02 ? { advice: 'Puts will be refused when it is full; reads go on' } : {}),
      figures: { freeBytes, totalBytes },
    },
    {
      name: 'files',
      // File systems that make inodes as needed say 0 of 0.
      level: files > 0 && ffree < 1000 ? 'warn' : 'ok',
      found:
        files > 0
          ? `${ffree.toLocaleString('en-US')} free of ${files.toLocaleString('en-US')}`
          : 'made as needed',
      figures: { freeFiles: ffree, totalFiles: files },
    },
  ];
}
