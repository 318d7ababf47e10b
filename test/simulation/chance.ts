import type { Chance } from '@refill/interface';

/** Name of the metadata service's host on the network. */
export const SERVICE_PEER = 'service';

/** A `Chance` of one stream of numbers. */
export function chanceOf(unit: () => number): Chance {
  return {
    unit,
    bytes: (target) => {
      for (let i = 0; i < target.length; i++) target[i] = unit() * 256;
      return target;
    },
  };
}
