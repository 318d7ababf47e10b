import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BenchContext } from './scenario.ts';

const living = new Set<Scratch>();
process.on('exit', () => {
  for (const scratch of living) scratch[Symbol.dispose]();
});

/** Directories of one measurement, deleted when disposed and, at the latest, when the process ends. */
export class Scratch implements Disposable {
  /** On the file system under test. */
  readonly dir: string;
  /** On a local disk, with a path short enough for a socket: a node's own state is never on the shared file system. */
  readonly stateDir: string;

  constructor(context: BenchContext, name: string) {
    mkdirSync(context.dir, { recursive: true });
    this.dir = mkdtempSync(join(context.dir, `${name}-`));
    this.stateDir = mkdtempSync(join(tmpdir(), 'refill-bench-'));
    living.add(this);
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
    rmSync(this.stateDir, { recursive: true, force: true });
    living.delete(this);
  }
}
