import { RefillError } from '@refill/interface';
import { CommanderError } from 'commander';
import { EXIT, ExitError } from './exit-codes.ts';

/** Codes of connect(2) that mean nobody listens there. */
const NOBODY = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'ENOTSOCK', 'EACCES']);

/** The exit code that an error of a command deserves. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof ExitError) return error.exitCode;
  // Commander exits with 0 for --help and --version, with 1 for what is a usage error.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof RefillError) {
    if (error.code === 'ERR_CONFIG' || error.code === 'ERR_INVALID_ARGUMENT') return EXIT.usage;
    if (error.code === 'ERR_NODE_CLOSED') return EXIT.unreachable;
  }
  const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  if (syscall === 'connect' && code !== undefined && NOBODY.has(code)) return EXIT.unreachable;
  return EXIT.failure;
}

/** One clear line: `refill: ERR_CODE: what is wrong. What to do.` With `debug` the stacks follow, causes included. */
export function errorLine(error: unknown, debug: boolean): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  const message = error instanceof Error ? error.message : String(error);
  const line = `refill: ${typeof code === 'string' && !message.includes(code) ? `${code}: ` : ''}${message}`;
  const oneLine = line.replace(/\s*\n\s*/g, ' ');
  if (!debug) return oneLine;
  const stacks: string[] = [];
  for (let at: unknown = error; at instanceof Error; at = at.cause) stacks.push(at.stack ?? at.message);
  return [oneLine, ...stacks].join('\n');
}
