// Module hooks: TypeScript out of the cache.
import { fileURLToPath } from 'node:url';
import { javascriptOf } from './typescript-cache.mjs';

export async function load(url, context, next) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return next(url, context);
  return { format: 'module', shortCircuit: true, source: await javascriptOf(fileURLToPath(url)) };
}
