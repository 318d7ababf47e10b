import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ServedNode } from './served-node.ts';

const program: string = fileURLToPath(new URL('./writer-process.js', import.meta.url));

/** Writes behind through `node` until disposed; disposing waits for the process to end. */
export class BackgroundWriter implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(node: ServedNode, seed: number): Promise<BackgroundWriter> {
    const child = fork(program, [node.socketPath, String(seed)]);
    const [first] = await Promise.race([once(child, 'message'), once(child, 'exit')]);
    if (first !== 'ready') throw new Error(`the writing process ended with ${first}`);
    return new BackgroundWriter(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    if (this.#child.connected) this.#child.send('stop');
    await exit;
  }
}
