import { createProgram } from './program.ts';
import { errorLine, exitCodeOf } from './report-error.ts';

const argv = process.argv.slice(2);
// Timers of the clock keep no process alive, so that an embedded node ends with its program; a command must not end
// before it has settled.
const alive = setInterval(() => undefined, 2 ** 30);
try {
  await createProgram().parseAsync(argv, { from: 'user' });
} catch (error) {
  process.exitCode = exitCodeOf(error);
  // Commander has printed its usage errors and helps itself.
  const printed = (error as { code?: string }).code?.startsWith('commander.') === true;
  if (!printed) process.stderr.write(`${errorLine(error, argv.includes('--debug'))}\n`);
} finally {
  clearInterval(alive);
}
