import type { Config } from '../config/fields.ts';

/** Whether the configuration says that this node shares the root with others. */
export function isInCluster({ listen, metadata }: Pick<Config, 'listen' | 'metadata'>): boolean {
  return listen !== undefined || metadata !== 'embedded';
}

/** Name of the metadata service where it runs alone, and of the card by which it is found among those of the nodes. */
export const SERVICE_CARD = 'metadata';
