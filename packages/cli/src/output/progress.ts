import type { Clock } from '@refill/interface';

export interface Progress {
  /** `done` of `total` (undefined when unknown), and a few words. Cheap: draws at most ten times a second. */
  update(done: number, total: number | undefined, note?: string): void;
  /** Removes the bar. */
  end(): void;
}

const WIDTH = 30;
const INTERVAL_MS = 100;

/**
 * A bar on standard error while it is a terminal, or when `force`d; nothing otherwise, so that logs stay clean.
 * Forced on something that is no terminal it writes a line a second instead of redrawing one.
 */
export function createProgress(
  label: string,
  { clock, force, stream = process.stderr }: { clock: Clock; force: boolean; stream?: NodeJS.WriteStream },
): Progress {
  const terminal = stream.isTTY === true;
  if (!terminal && !force) return { update() {}, end() {} };
  const intervalMs = terminal ? INTERVAL_MS : 1000;
  let drawnAtMs = Number.NEGATIVE_INFINITY;
  let drawn = false;
  const line = (done: number, total: number | undefined, note: string): string => {
    if (total === undefined || total === 0) return `${label} ${done.toLocaleString('en-US')} ${note}`;
    const ratio = Math.min(1, done / total);
    const filled = Math.round(ratio * WIDTH);
    return `${label} [${'#'.repeat(filled)}${'.'.repeat(WIDTH - filled)}] ${(ratio * 100).toFixed(0).padStart(3)} % ${note}`;
  };
  return {
    update(done, total, note = '') {
      const nowMs = clock.nowMs();
      if (nowMs - drawnAtMs < intervalMs && done !== total) return;
      drawnAtMs = nowMs;
      drawn = true;
      const text = line(done, total, note).trimEnd();
      stream.write(terminal ? `\r\x1b[K${text.slice(0, (stream.columns || 80) - 1)}` : `${text}\n`);
    },
    end() {
      if (terminal && drawn) stream.write('\r\x1b[K');
    },
  };
}
