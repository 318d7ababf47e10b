/** Exit codes of every command; `docs/cli.md` lists them. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  /** No node answers at the socket. */
  unreachable: 3,
  /** Bytes that were read are not the bytes that were written. */
  mismatch: 4,
} as const;

/** Ends a command with a code and a line for people, without a stack. */
export class ExitError extends Error {
  override readonly name = 'ExitError';
  readonly exitCode: number;

  constructor(exitCode: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}
