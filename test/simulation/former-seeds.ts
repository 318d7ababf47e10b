/** Seeds that broke a guarantee before a fault of the product was mended. */
export const FORMER_SEEDS: readonly { seed: number; why: string }[] = [];
