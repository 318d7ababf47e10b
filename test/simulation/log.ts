import { RefillError } from '@refill/interface';

export interface SimLog {
  (...args: unknown[]): void;
  error(format: string, ...args: unknown[]): void;
  trace(): void;
  enabled: boolean;
  newScope(): SimLog;
}

/** A log that only looks for errors that nobody meant: a broken invariant is caught and logged in many places. */
export function createLog(name: string, report: (violation: string) => void): SimLog {
  const look = (_format: string, ...args: unknown[]): void => {
    for (const arg of args) if (arg instanceof Error) assertMeant(name, arg, report);
  };
  const log: SimLog = Object.assign((): void => {}, {
    error: look,
    trace: () => {},
    enabled: false,
    newScope: () => log,
  });
  return log;
}

/** Codes that no caller here gives a reason for. */
const NEVER: ReadonlySet<string> = new Set([
  'ERR_INTERNAL',
  'ERR_INVALID_ARGUMENT',
  'ERR_PROTOCOL',
  'ERR_HANDLE_UNKNOWN',
  'ERR_FINGERPRINT_MISMATCH',
]);

/** Reports what is no refusal of the product, with the first line of its stack that is ours. */
export function assertMeant(name: string, error: unknown, report: (violation: string) => void): void {
  if (error instanceof RefillError && !NEVER.has(error.code)) return;
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  report(`${name}: ${stack.split('\n').slice(0, 6).join(' | ')}`);
}
