import { type Command, InvalidArgumentError, Option } from 'commander';
import { FIELDS, type FieldName, flagOf, shortFlagOf } from './config/fields.ts';
import { type LoadedConfig, loadConfig } from './config/load.ts';
import { parseSize } from './config/size.ts';

/** Fields that a command talking to a running node needs to find it. */
export const CLIENT_FIELDS: readonly FieldName[] = ['root', 'state', 'node', 'socket'];

/** Adds the flags of configuration fields, all optional: the environment and the file may say as well. */
export function addConfigFlags(command: Command, names: readonly FieldName[]): Command {
  command.option(
    '--config <file>',
    "YAML file of the configuration (default: ./refill.yaml, then the user's)",
  );
  for (const name of names) {
    const { schema, argument, fallbackText } = FIELDS[name];
    const text = `${schema.description ?? ''} Default ${fallbackText.replaceAll('`', '')}.`;
    command.addOption(
      new Option(`${[shortFlagOf(name), flagOf(name)].filter(Boolean).join(', ')} <${argument}>`, text),
    );
  }
  return command;
}

/** The configuration as flags, environment and file give it together. */
export function configOf(options: Record<string, unknown>): LoadedConfig {
  return loadConfig({ flags: options, file: options.config as string | undefined });
}

/** Parser of a flag that is a size. */
export function sizeFlag(min: number, max: number): (text: string) => number {
  return (text) => {
    const bytes = parseSize(text);
    if (bytes === undefined || bytes < min || bytes > max) {
      throw new InvalidArgumentError(`Give a size such as 64KiB, from ${min} to ${max} bytes.`);
    }
    return bytes;
  };
}

/** Parser of a flag that is a whole number. */
export function wholeFlag(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`Give a whole number from ${min} to ${max}.`);
    return value;
  };
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Parser of a flag that is a time, in milliseconds: a number with a unit, or of milliseconds. */
export function timeFlag(minMs: number, maxMs: number): (text: string) => number {
  return (text) => {
    const [, digits, unit = 'ms'] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text.trim()) ?? [];
    const ms = digits === undefined ? Number.NaN : Math.round(Number(digits) * UNIT_MS[unit]!);
    if (!(ms >= minMs && ms <= maxMs)) {
      throw new InvalidArgumentError(`Give a time such as 500ms, 30s or 10m, from ${minMs} to ${maxMs} ms.`);
    }
    return ms;
  };
}

/** Parser of a flag that is a number with a fraction. */
export function numberFlag(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`Give a number from ${min} to ${max}.`);
    return value;
  };
}
