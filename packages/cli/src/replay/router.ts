import {
  type BlockNamespace,
  type CallOptions,
  KEYS_PER_CALL_MAX,
  type Key,
  RefillError,
} from '@refill/interface';
import type { SeededRandom } from './random.ts';

/** A node of the cluster, as a router sees it when a request comes. */
export interface RoutableNode {
  readonly name: string;
  readonly namespace: BlockNamespace;
  /** Blocks of the requests that it is serving now, and requests that it was given so far. */
  readonly activeBlocks: number;
  readonly requests: number;
}

/** Decides which node serves a request. */
export interface Router {
  readonly name: 'random' | 'locate';
  /** Index of the chosen node. */
  choose(nodes: readonly RoutableNode[], keys: readonly Key[]): number | Promise<number>;
}

/** A load balancer that knows nothing of the cache. */
export function randomRouter(random: SeededRandom): Router {
  return { name: 'random', choose: (nodes) => random.between(0, nodes.length - 1) };
}

/**
 * A router that asks `locate` and follows the longest prefix, unless that node has so much to do that another would be
 * done earlier: the cost of a node is what it would have to bring in for this request, plus the blocks of the requests that it is
 * serving. Among equals the one that was given the fewest requests, so that new prompts spread. While the service is away
 * load alone decides.
 */
export function locateRouter(call: CallOptions): Router {
  return {
    name: 'locate',
    async choose(nodes, keys) {
      const prefixes = await prefixesOf(nodes, keys.slice(0, KEYS_PER_CALL_MAX), call);
      const costs = nodes.map(
        ({ name, activeBlocks }) => keys.length - (prefixes.get(name) ?? 0) + activeBlocks,
      );
      let best = 0;
      for (const [i, cost] of costs.entries()) {
        if (cost > costs[best]!) continue;
        if (cost < costs[best]! || nodes[i]!.requests < nodes[best]!.requests) best = i;
      }
      return best;
    },
  };
}

/** Leading blocks of the keys that each node holds; nodes without any are not in it. */
async function prefixesOf(
  nodes: readonly RoutableNode[],
  keys: readonly Key[],
  call: CallOptions,
): Promise<Map<string, number>> {
  const [asked] = [...nodes].sort((a, b) => a.activeBlocks - b.activeBlocks || a.requests - b.requests);
  if (asked === undefined || keys.length === 0) return new Map();
  try {
    const shares = await asked.namespace.locate(keys, { limit: nodes.length, ...call });
    return new Map(shares.map(({ node, prefixBlocks }) => [node, prefixBlocks]));
  } catch (error) {
    const isAway = error instanceof RefillError && AWAY.has(error.code);
    if (!isAway) throw error;
    return new Map();
  }
}

const AWAY: ReadonlySet<string> = new Set(['ERR_METADATA_UNAVAILABLE', 'ERR_DEADLINE']);
