import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchContext } from './scenario.ts';

const living = new Set<string>();
process.on('exit', () => {
  for (const dir of living) rmSync(dir, { recursive: true, force: true });
});

/** A directory on the file system under test, deleted when disposed and, at the latest, when the process ends. */
export class Scratch implements Disposable {
  readonly dir: string;

  constructor(context: BenchContext, name: string) {
    mkdirSync(context.dir, { recursive: true });
    this.dir = mkdtempSync(join(context.dir, `${name}-`));
    living.add(this.dir);
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
    living.delete(this.dir);
  }
}
