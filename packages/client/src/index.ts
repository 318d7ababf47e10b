export * from '@refill/interface';
export { type ConnectOptions, connect, createConnect, type OpenOptions, open } from './connect.ts';
export type { ClientParts } from './parts.ts';
export { systemChance, systemClock } from './system-clock.ts';
