import type { Mutation } from './mutate.mjs';

export const MUTATIONS: readonly Mutation[];
