/**
 * Memory for what is large, lives long and is read in no order, like the pages of an index: injected, so that a node
 * can lay it in huge pages, where such reads meet fewer misses of the address translation.
 */
export interface PageMemory {
  /** Zeroed words. */
  take(words: number): Uint32Array;
  /** Gives back what `take` returned; nobody uses it afterwards. */
  give(words: Uint32Array): void;
}

/** Ordinary memory, left to the garbage collector. */
export const ordinaryMemory: PageMemory = {
  take: (words) => new Uint32Array(words),
  give: () => {},
};
