/** Seeds that broke a guarantee before a fault of the product was mended. */
export const FORMER_SEEDS: readonly { seed: number; why: string }[] = [
  { seed: 12, why: 'a node outlives database and catalogue, and was given an epoch that it had passed' },
];
