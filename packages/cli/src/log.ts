import { format } from 'node:util';
import type { Logger } from '@libp2p/interface';
import type { Clock } from '@refill/interface';
import type { Config } from './config/fields.ts';

const LEVELS = { error: 0, warn: 1, info: 2, debug: 3 } as const;

export interface LogOptions {
  level: Config['logLevel'];
  clock: Clock;
  write?: (line: string) => void;
}

/**
 * The node's log: a line each on standard error, `time level scope: message`. Under systemd, which stamps lines
 * itself, the time is left out and the level is its `<n>` prefix (sd-daemon(3)).
 */
export function createLog(scope: string, options: LogOptions): Logger {
  const { level, clock, write = (line) => process.stderr.write(line) } = options;
  const systemd = process.env.JOURNAL_STREAM !== undefined;
  const line =
    (name: keyof typeof LEVELS, prefix: string) =>
    (text: unknown, ...args: unknown[]) => {
      if (LEVELS[name] > LEVELS[level]) return;
      const stamp = systemd ? prefix : `${new Date(clock.wallMs()).toISOString()} ${name} `;
      write(`${stamp}${scope}: ${format(text, ...args).replaceAll('\n', '\n  ')}\n`);
    };
  return Object.assign(line('info', '<6>'), {
    error: line('error', '<3>'),
    trace: line('debug', '<7>'),
    enabled: true,
    newScope: (name: string) => createLog(`${scope}:${name}`, options),
  });
}
