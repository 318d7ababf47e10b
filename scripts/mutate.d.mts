export interface Mutation {
  name: string;
  /** A folder of `packages`. */
  package: string;
  /** Found exactly once in the package's sources. */
  find: string | RegExp;
  replace: string;
  /** Test files, relative to `test`: one of them at least must fail. */
  tests: readonly string[];
}

/** Names of those that survived. */
export function mutate(
  mutations: readonly Mutation[],
  onDone?: (mutation: Mutation, killedBy: string | undefined) => void,
): Promise<string[]>;

/** Tests that fail on unbroken sources, with the end of their output. */
export function provePassing(mutations: readonly Mutation[]): Promise<string[]>;
