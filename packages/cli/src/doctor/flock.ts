import type { BlockIO } from '@refill/interface';
import type { Finding } from './finding.ts';

/** Two holders of one lock: the second must be refused. With a second mount the two come over different mounts. */
export async function checkLocks(first: BlockIO, second: BlockIO, where: string): Promise<Finding> {
  const path = 'lock';
  const [mine, theirs] = [await first.lock(path), await second.lock(path)];
  const good = mine && !theirs;
  return {
    name: 'flock',
    level: good ? 'ok' : 'warn',
    found: good
      ? `excludes a second holder ${where}`
      : mine
        ? `does not exclude a second holder ${where}`
        : 'refused although nobody holds it',
    ...(good
      ? {}
      : {
          advice:
            'Two nodes of one name, or two on one root, would not be noticed at the start; data stays safe',
        }),
  };
}
