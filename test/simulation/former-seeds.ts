/**
 * Seeds that broke a guarantee before a fault of the product was mended. A seed is another world once `plan`, `act` or
 * `scenarios` change: what each found has a unit test of its own.
 */
export const FORMER_SEEDS: readonly { seed: number; why: string }[] = [
  { seed: 12, why: 'a node outlives database and catalogue, and was given an epoch that it had passed' },
  { seed: 111, why: 'a size that shows late took a block out of the directory' },
];
