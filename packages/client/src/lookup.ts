import {
  type BlockLookup,
  type BlockTier,
  LOOKUP_ROW,
  LOOKUP_ROW_WORDS,
  LOOKUP_TIER,
} from '@refill/interface';
import type { ReplyReader } from './call.ts';
import type { NodeConnection } from './connection.ts';

const TIER_NAMES: readonly BlockTier[] = Object.keys(LOOKUP_TIER) as BlockTier[];

export function lookupReader(_connection: NodeConnection, count: number): ReplyReader<BlockLookup[]> {
  return {
    read: (frame) => {
      const rows = frame.body(0, count * LOOKUP_ROW_WORDS);
      return Array.from({ length: count }, (_, i) => {
        const at = i * LOOKUP_ROW_WORDS;
        return {
          // A tier that this client does not know is one that it need not count on.
          tier: TIER_NAMES[rows[at + LOOKUP_ROW.tier]!] ?? 'miss',
          lengthBytes: rows[at + LOOKUP_ROW.lengthBytes]!,
          tokens: rows[at + LOOKUP_ROW.tokens]!,
          readyMs: rows[at + LOOKUP_ROW.readyUs]! / 1000,
        };
      });
    },
  };
}
