/** Exit code of a process that a second signal ended: 128 + SIGINT, as shells count. */
const IMPATIENT = 130;

/** Settles at the first SIGTERM or SIGINT. A second one ends the process at once, whatever it is waiting for. */
export function untilStopped(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (asked) process.exit(IMPATIENT);
      asked = true;
      process.stderr.write(`refill: ${signal}: stopping; a second signal ends at once\n`);
      resolve(signal);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}
