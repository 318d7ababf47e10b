/** What one check of `refill doctor` found. `fail`: Refill cannot work here. `warn`: it works, slower or with less safety. */
export interface Finding {
  name: string;
  level: 'ok' | 'info' | 'warn' | 'fail';
  /** What is there, in words. */
  found: string;
  /** What follows from it, or what to do. */
  advice?: string;
  /** Numbers behind it, for `--json`. */
  figures?: Record<string, number | string | boolean>;
}

/** Runs a check; one that throws is a finding too, never the end of the others. */
export async function check(name: string, run: () => Promise<Finding | Finding[]>): Promise<Finding[]> {
  try {
    const found = await run();
    return Array.isArray(found) ? found : [found];
  } catch (error) {
    return [{ name, level: 'fail', found: (error as Error).message }];
  }
}
