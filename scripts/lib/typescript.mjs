// node --import: lets this process load TypeScript, as newer Node does by itself.
import { register } from 'node:module';

if (!process.features.typescript) register('./typescript-hooks.mjs', import.meta.url);
