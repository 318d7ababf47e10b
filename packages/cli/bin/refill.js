#!/usr/bin/env node
import module from 'node:module';

// Node 22.1 and newer keeps what it compiled for the next start; older ones compile anew.
module.enableCompileCache?.();
await import('../dist/main.js');
