import { spawn } from 'node:child_process';
import { Unavailable } from './scenario.ts';

/** Runs a program to its end and returns what it printed. Rejects with its error output when it fails. */
export function runProgram(
  program: string,
  args: readonly string[],
  timeoutMs: number = 600_000,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs });
    let output = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    child.on('error', (error) => reject(new Unavailable(`${program} does not start: ${error.message}`)));
    child.on('close', (code, signal) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${program} ${args.join(' ')} ended with ${signal ?? code}: ${errors.trim()}`));
    });
  });
}
