/**
 * What other programs of the project use of the command line's package: configuration, root, clock and the replay.
 * `@refill/cli/node` starts a node in the process.
 */
export * from './config/fields.ts';
export * from './config/load.ts';
export * from './config/paths.ts';
export * from './config/size.ts';
export * from './doctor/mount.ts';
export * from './doctor/two-mounts.ts';
export * from './exit-codes.ts';
export * from './program.ts';
export * from './replay/index.ts';
export * from './report-error.ts';
export * from './root.ts';
export * from './system-clock.ts';
export * from './version.ts';
