export {
  createDirectory,
  type DirectoryComponents,
  type DirectoryOptions,
  MEMORY_BUDGET_BYTES_DEFAULT,
} from './directory.ts';
export { LevelEngine, type LevelEngineOptions } from './level-engine.ts';
export { MemoryEngine } from './memory-engine.ts';
