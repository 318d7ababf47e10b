import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { RefillError } from '@refill/interface';
import { type Config, FIELD_NAMES, FIELDS, type FieldName, flagOf, variableOf } from './fields.ts';
import { suggest } from './suggest.ts';

const require = createRequire(import.meta.url);
const PATHS: ReadonlySet<FieldName> = new Set(['root', 'state', 'socket', 'secretFile', 'nvme']);

export interface ConfigInputs {
  /** Flags as parsed, by field name; `undefined` for those that were not given. */
  flags?: Readonly<Record<string, unknown>>;
  env?: NodeJS.ProcessEnv;
  /** File named by `--config`; it must exist. Otherwise the first that does of the usual places. `null`: none. */
  file?: string | undefined | null;
  cwd?: string;
}

export interface LoadedConfig {
  config: Config;
  /** Where each value came from, in words: `flag --root`, `environment REFILL_ROOT`, `file /etc/refill.yaml`, `default`. */
  sources: Record<FieldName, string>;
}

/**
 * The configuration by one precedence: flags, then environment (`REFILL_*`), then file, then defaults.
 * Relative paths are relative to the working directory, in a file to the file. Rejects with `ERR_CONFIG` naming the
 * field, its value, where it came from and the fix. Environment variables that are no field are ignored: container
 * platforms set `REFILL_*` of their own for a service named `refill`.
 */
export function loadConfig(inputs: ConfigInputs = {}): LoadedConfig {
  const env = inputs.env ?? process.env;
  const cwd = inputs.cwd ?? process.cwd();
  const file = inputs.file === null ? undefined : readConfigFile(inputs.file, env, cwd);
  const config: Record<string, unknown> = {};
  const sources = {} as Record<FieldName, string>;
  for (const name of FIELD_NAMES) {
    const variable = env[variableOf(name)];
    let value: unknown;
    let base = cwd;
    if (inputs.flags?.[name] !== undefined) {
      value = inputs.flags[name];
      sources[name] = `flag ${flagOf(name)}`;
    } else if (variable !== undefined && variable !== '') {
      value = variable;
      sources[name] = `environment ${variableOf(name)}`;
    } else if (file !== undefined && file.values[name] !== undefined && file.values[name] !== null) {
      value = file.values[name];
      sources[name] = `file ${file.path}`;
      base = resolve(file.path, '..');
    } else {
      value = FIELDS[name].fallback();
      sources[name] = 'default';
    }
    config[name] = value === undefined ? undefined : check(name, value, sources[name], base);
  }
  return { config: config as unknown as Config, sources };
}

function check(name: FieldName, value: unknown, source: string, base: string): unknown {
  const field = FIELDS[name];
  const result = field.schema.safeParse(value);
  if (!result.success) {
    const problem = result.error.issues[0]?.message ?? 'is not valid';
    throw new RefillError(
      'ERR_CONFIG',
      `${name} is ${JSON.stringify(value)} (${source}), which ${wording(problem)}`,
      {
        fix: field.fix,
      },
    );
  }
  const isPath = PATHS.has(name);
  return isPath ? resolve(base, expandHome(result.data as string)) : result.data;
}

/** Messages of the schema library that are not ours speak of "Invalid input". */
function wording(problem: string): string {
  return /^(is|has|does) /.test(problem) ? problem : 'is of the wrong type';
}

function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path;
}

interface ConfigFile {
  path: string;
  values: Record<string, unknown>;
}

function readConfigFile(
  named: string | undefined,
  env: NodeJS.ProcessEnv,
  cwd: string,
): ConfigFile | undefined {
  const explicit = named ?? (env.REFILL_CONFIG === '' ? undefined : env.REFILL_CONFIG);
  const home = env.XDG_CONFIG_HOME || join(env.HOME || homedir(), '.config');
  const path =
    explicit !== undefined
      ? resolve(cwd, expandHome(explicit))
      : [resolve(cwd, 'refill.yaml'), join(home, 'refill', 'refill.yaml')].find((place) => existsSync(place));
  if (path === undefined) return undefined;
  let values: unknown;
  try {
    // Loaded for those who have such a file only.
    const { parse } = require('yaml') as typeof import('yaml');
    values = parse(readFileSync(path, 'utf8')) ?? {};
  } catch (cause) {
    const why = (cause as Error).message.split('\n')[0];
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new RefillError('ERR_CONFIG', `the configuration file ${path} cannot be read: ${why}`, {
      cause,
      fix: missing
        ? 'Give --config the path of a file that exists'
        : 'Make it a YAML mapping of field to value',
    });
  }
  if (typeof values !== 'object' || values === null || Array.isArray(values)) {
    throw new RefillError('ERR_CONFIG', `the configuration file ${path} is no mapping`, {
      fix: 'Write one `field: value` a line, for example `root: /mnt/shared/refill`',
    });
  }
  refuseUnknown(values, `file ${path}`);
  return { path, values: values as Record<string, unknown> };
}

/** Throws `ERR_CONFIG` for a name that is no field: a misspelt bound must not be ignored in silence. */
export function refuseUnknown(values: object, source: string): void {
  for (const field of Object.keys(values)) {
    if ((FIELD_NAMES as readonly string[]).includes(field)) continue;
    const meant = suggest(field, FIELD_NAMES);
    throw new RefillError('ERR_CONFIG', `${field} (${source}) is no field of the configuration`, {
      fix: meant === undefined ? `Fields are ${FIELD_NAMES.join(', ')}` : `Did you mean ${meant}?`,
    });
  }
}
