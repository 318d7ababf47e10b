import {
  type BlockNamespace,
  type BlockStore,
  completeFingerprint,
  type Fingerprint,
  KEY_BYTES,
  type Key,
  keyOf,
  RefillError,
} from '@refill/interface';
import type { Command } from 'commander';
import { wholeFlag } from './options.ts';

/** Flags by which `put` and `get` name a namespace. */
export function addNamespaceFlags(command: Command): Command {
  return command
    .option('--namespace <name>', 'name of the namespace', 'default')
    .option('--owner <name>', 'tenant that owns it', 'default')
    .option('--model <name>', 'model that the blocks belong to', 'none')
    .option('--dtype <name>', 'type of their numbers', 'uint8')
    .option('--layout <name>', 'layout of a block', 'bytes')
    .option('--tokens-per-block <n>', 'tokens of a block', wholeFlag(1, 2 ** 31), 1);
}

/** The namespace that the flags name, made when it is new. */
export function openNamespace(store: BlockStore, options: Record<string, unknown>): Promise<BlockNamespace> {
  return store.namespace(fingerprintOf(options));
}

/** Throws `ERR_INVALID_ARGUMENT`, a usage error, for what no fingerprint can hold. */
function fingerprintOf(options: Record<string, unknown>): Fingerprint {
  try {
    return completeFingerprint({
      name: options.namespace as string,
      owner: options.owner as string,
      model: options.model as string,
      dtype: options.dtype as string,
      layout: options.layout as string,
      tokensPerBlock: options.tokensPerBlock as number,
    });
  } catch (cause) {
    throw new RefillError('ERR_INVALID_ARGUMENT', (cause as Error).message, {
      cause,
      fix: 'Mend --namespace, --owner, --model, --dtype, --layout or --tokens-per-block',
    });
  }
}

/** 64 hexadecimal digits are a key; anything else is hashed to one. */
export function parseKey(text: string): Key {
  return new RegExp(`^[0-9a-fA-F]{${KEY_BYTES * 2}}$`).test(text) ? Buffer.from(text, 'hex') : keyOf(text);
}
