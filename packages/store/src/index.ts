export * from './shared-tier.ts';
