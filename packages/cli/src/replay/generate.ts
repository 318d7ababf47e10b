import { SeededRandom } from './random.ts';
import type { Trace, TraceRequest } from './trace.ts';

export interface WorkloadOptions {
  /** The same seed gives the same workload on every machine. */
  seed: number;
  conversations: number;
  /** Turns of a conversation; its subagents come on top. */
  turns: number;
  /** Blocks of the system prompt that all conversations share. */
  systemBlocks: number;
  tokensPerBlock: number;
}

export const WORKLOAD_DEFAULT: Omit<WorkloadOptions, 'seed'> = {
  conversations: 6,
  turns: 16,
  systemBlocks: 24,
  tokensPerBlock: 64,
};

const STEP_MS = 2000;

/**
 * A made-up agentic workload in the shape of the recorded ones: conversations that grow turn by turn over one system
 * prompt, each turn asking for everything before it again; sometimes a subagent that starts from the system prompt
 * with a task of its own; sometimes a compaction that throws the middle away. Ids are global, so conversations share
 * their system prompt; each conversation is one ordered trace.
 */
export function generateWorkload(options: WorkloadOptions): Trace[] {
  const random = new SeededRandom(options.seed);
  const scope = `generated:${options.seed}`;
  let nextId = 0;
  const fresh = (count: number): number[] => Array.from({ length: count }, () => nextId++);
  const system = fresh(options.systemBlocks);
  return Array.from({ length: options.conversations }, (_, conversation) => {
    const requests: TraceRequest[] = [];
    const ask = (hashIds: readonly number[]): void => {
      requests.push({
        atMs: requests.length * STEP_MS,
        inputTokens: hashIds.length * options.tokensPerBlock,
        outputTokens: random.between(50, 500),
        hashIds: [...hashIds],
      });
    };
    let prompt = [...system, ...fresh(random.between(8, 32))];
    for (let turn = 0; turn < options.turns; turn++) {
      ask(prompt);
      if (random.between(0, 4) === 0)
        subagent(ask, random, [...system, ...fresh(random.between(4, 12))], fresh);
      if (turn % 12 === 11)
        prompt = [...prompt.slice(0, options.systemBlocks), ...fresh(random.between(8, 16))];
      prompt = [...prompt, ...fresh(random.between(2, 14))];
    }
    return {
      name: `${scope}/${conversation}`,
      scope,
      tokensPerBlock: options.tokensPerBlock,
      ordered: true,
      requestCount: requests.length,
      requests,
    };
  });
}

function subagent(
  ask: (hashIds: readonly number[]) => void,
  random: SeededRandom,
  start: number[],
  fresh: (count: number) => number[],
): void {
  let prompt = start;
  for (let turn = random.between(2, 4); turn > 0; turn--) {
    ask(prompt);
    prompt = [...prompt, ...fresh(random.between(1, 6))];
  }
}
