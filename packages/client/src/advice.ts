import type { BlockLookup, ReadAdvice } from '@refill/interface';

/**
 * Splits a prompt: its first blocks are loaded, what comes after is computed. Loading and computing follow one another,
 * so that loading n blocks costs `readyMs` of the nth plus the tokens after it at a constant rate; the least sum is
 * taken, and of equal ones that of more blocks, which leaves the GPU to others. Blocks that are missing count
 * `tokensPerBlock`; behind the first of them nothing can be loaded, for its KV would be lacking.
 */
export function adviseRead(
  blocks: readonly BlockLookup[],
  tokensPerBlock: number,
  prefillTokensPerSecond: number,
): ReadAdvice {
  const tokensOf = ({ tier, tokens }: BlockLookup): number => (tier === 'miss' ? tokensPerBlock : tokens);
  let tokensAfter = blocks.reduce((sum, block) => sum + tokensOf(block), 0);
  const computeMsOf = (tokens: number): number => (tokens / prefillTokensPerSecond) * 1000;
  const gap = blocks.findIndex(({ tier }) => tier === 'miss');
  const prefixBlocks = gap < 0 ? blocks.length : gap;
  let best = { blocks: 0, loadMs: 0, computeMs: computeMsOf(tokensAfter) };
  for (let n = 1; n <= prefixBlocks; n++) {
    tokensAfter -= tokensOf(blocks[n - 1]!);
    const split = { blocks: n, loadMs: blocks[n - 1]!.readyMs, computeMs: computeMsOf(tokensAfter) };
    if (split.loadMs + split.computeMs <= best.loadMs + best.computeMs) best = split;
  }
  const whole = best.blocks === prefixBlocks ? 'load' : 'part';
  return { action: best.blocks === 0 ? 'compute' : whole, prefixBlocks, ...best };
}

/** Throws unless it is a rate. */
export function checkRate(prefillTokensPerSecond: unknown): number {
  if (
    typeof prefillTokensPerSecond === 'number' &&
    prefillTokensPerSecond > 0 &&
    Number.isFinite(prefillTokensPerSecond)
  ) {
    return prefillTokensPerSecond;
  }
  throw new RangeError(
    `prefillTokensPerSecond must be a number above 0, got ${String(prefillTokensPerSecond)}; measure the engine's prefill`,
  );
}
