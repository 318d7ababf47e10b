/**
 * Seeds that broke a guarantee before a fault of the product was mended. A seed is another world once `plan`, `act` or
 * `scenarios` change: what each found has a unit test of its own.
 */
export const FORMER_SEEDS: readonly { seed: number; why: string }[] = [
  { seed: 12, why: 'a node outlives database and catalogue, and was given an epoch that it had passed' },
  { seed: 111, why: 'a size that shows late took a block out of the directory' },
  { seed: 6533, why: 'what could not be stored on one node was read there beside what another had stored' },
  { seed: 8284, why: 'a put that failed had taken the place of a block that was promised to memory' },
  { seed: 8762, why: 'as 6533' },
];
