export { LevelEngine, type LevelEngineOptions } from './level-engine.ts';
export { MemoryEngine } from './memory-engine.ts';
