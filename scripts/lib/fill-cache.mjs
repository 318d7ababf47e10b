// Makes the JavaScript of all tests ahead of them: each would load the compiler for its own.
import { fillCache } from './typescript-cache.mjs';

await fillCache();
