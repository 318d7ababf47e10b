import { join } from 'node:path';
import type * as Gluster from '../dist/fixtures/gluster-fs.js';
import type * as Hosts from '../dist/fixtures/net-hosts.js';
import type { MemberPlace } from './bench-cluster.ts';
import { Cleanups } from './cleanups.ts';
import type { Scratch } from './scratch.ts';

/** Two sights of one directory, and where files of a rival go in each. */
export interface TwoMounts extends AsyncDisposable {
  /** In words, for the report. */
  readonly what: string;
  readonly places: readonly [MemberPlace, MemberPlace];
  readonly dirs: readonly [string, string];
}

/** Built from the tests' fixtures by a project of their own, so that they are loaded by a path that only exists then. */
const fixture = (name: string): string => new URL(`./fixtures/${name}.js`, import.meta.url).href;

/** A real shared file system, mounted by two hosts, where this machine can have one; else the directory itself, twice. */
export async function twoMounts(scratch: Scratch): Promise<TwoMounts> {
  const { glusterFs } = (await import(fixture('gluster-fs'))) as typeof Gluster;
  const { makeNetHosts } = (await import(fixture('net-hosts'))) as typeof Hosts;
  const cleanups = new Cleanups();
  if (!glusterFs.isHere()) {
    const place = { root: join(scratch.dir, 'root') };
    return {
      what: `the local directory, without a network: a shared one needs ${glusterFs.needs}`,
      places: [place, place],
      dirs: [scratch.dir, scratch.dir],
      [Symbol.asyncDispose]: () => cleanups[Symbol.asyncDispose](),
    };
  }
  try {
    const hosts = makeNetHosts(cleanups, glusterFs.serverHosts + 2);
    const [a, b] = await glusterFs.mount(cleanups, hosts);
    return {
      what: `${glusterFs.name}, two servers and two mounts on hosts of this machine`,
      places: [
        { root: join(a!.path, 'root'), host: a!.host },
        { root: join(b!.path, 'root'), host: b!.host },
      ],
      dirs: [a!.path, b!.path],
      [Symbol.asyncDispose]: () => cleanups[Symbol.asyncDispose](),
    };
  } catch (error) {
    await cleanups[Symbol.asyncDispose]();
    throw error;
  }
}
