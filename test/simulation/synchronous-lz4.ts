import { createRequire } from 'node:module';

interface Lz4 {
  compress(bytes: Uint8Array): Promise<Uint8Array>;
  uncompress(bytes: Uint8Array): Promise<Uint8Array>;
  compressSync(bytes: Uint8Array): Uint8Array;
  uncompressSync(bytes: Uint8Array): Uint8Array;
}

/**
 * LZ4 in the calling thread, for a thread pool answers when it likes. Imported before the packages, which take the
 * functions from the same module as it is then.
 */
const require = createRequire(new URL('../../packages/store/package.json', import.meta.url));
const lz4 = require('lz4-napi') as Lz4;
lz4.compress = async (bytes) => lz4.compressSync(bytes);
lz4.uncompress = async (bytes) => lz4.uncompressSync(bytes);
