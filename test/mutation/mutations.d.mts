import type { Mutation } from '../../scripts/mutate.mjs';

export const MUTATIONS: readonly Mutation[];
