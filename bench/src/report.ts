import type { Machine } from './machine.ts';
import type { Result, Scenario } from './scenario.ts';

/** What `refill bench --json` prints, one object a row; figures that were not measured are `null`. */
export type JsonRow = Pick<Result, 'name' | 'unit' | 'against' | 'ratio' | 'target' | 'met'> & {
  value: number | null;
};

export function jsonRow({ name, value, unit, against, ratio, target, met }: Result): JsonRow {
  return { name, value: Number.isFinite(value) ? value : null, unit, against, ratio, target, met };
}

/** Three significant digits, and no exponent for what people read. */
export function figure(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '-';
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(3)));
}

const COLUMNS = [
  'what',
  'ours',
  'unit',
  'rival',
  'ratio',
  'range',
  'reach',
  'met',
  'CPU s/GB ours / rival',
  'p50 / p99 us ours',
  'p50 / p99 us rival',
  'pages ours / rival',
  'against',
] as const;

function pair(a: number | string | undefined, b: number | string | undefined): string {
  const text = (value: number | string | undefined): string =>
    typeof value === 'string' ? value : figure(value);
  return a === undefined && b === undefined ? '' : `${text(a)} / ${text(b)}`;
}

function cells(result: Result): string[] {
  const { ours, theirs, spread } = result;
  return [
    result.name,
    figure(result.value),
    result.unit,
    figure(result.rival),
    figure(result.ratio),
    spread === undefined ? '' : `${figure(spread[0])}..${figure(spread[1])}`,
    result.target,
    result.met === null ? '' : result.met ? 'yes' : '**no**',
    pair(ours?.cpuSecondsPerGigabyte, theirs?.cpuSecondsPerGigabyte),
    pair(ours?.p50Us, ours?.p99Us),
    pair(theirs?.p50Us, theirs?.p99Us),
    pair(ours?.pages, theirs?.pages),
    [result.against, result.note].filter((text) => text !== undefined && text !== '').join('; '),
  ];
}

function table(results: readonly Result[]): string {
  const line = (texts: readonly string[]): string => `| ${texts.join(' | ')} |`;
  return [
    line(COLUMNS),
    line(COLUMNS.map(() => '---')),
    ...results.map((result) => line(cells(result))),
  ].join('\n');
}

/** The section of one scenario. `load` says how busy the machine was. */
export function scenarioSection(
  { title }: Scenario,
  results: readonly Result[],
  rounds: number,
  load: string,
): string {
  return `## ${title}\n\nMedians of ${rounds} rounds, rival and ours in turn; ${load}.\n\n${table(results)}`;
}

export function machineSection(machine: Machine): string {
  const rows = Object.entries(machine).map(([name, value]) => `| ${name} | ${value} |`);
  return ['# Results', '', '| machine | |', '| --- | --- |', ...rows, '| network | not measured here |'].join(
    '\n',
  );
}

/**
 * Replaces one named section of the document, or adds it at the end. Sections stand between comments, so that a run of
 * some scenarios, and what other tools and people write, leave the rest alone.
 */
export function withSection(document: string, name: string, text: string): string {
  const begin = `<!-- begin ${name} -->`;
  const end = `<!-- end ${name} -->`;
  const section = `${begin}\n${text}\n${end}`;
  const from = document.indexOf(begin);
  const to = document.indexOf(end);
  if (from >= 0 && to > from) return document.slice(0, from) + section + document.slice(to + end.length);
  return document === '' ? `${section}\n` : `${document.trimEnd()}\n\n${section}\n`;
}

/** One line a row for the terminal. */
export function consoleLine(result: Result): string {
  const verdict = result.met === null ? '    ' : result.met ? 'met ' : 'MISS';
  const ratio =
    result.ratio === null ? '' : ` = ${figure(result.ratio)} x ${figure(result.rival)} (${result.against})`;
  const target = result.target === '' ? '' : `, reach ${result.target}`;
  const note = result.unit === '' ? ` ${result.note ?? ''}` : '';
  return `${verdict} ${result.name.padEnd(36)} ${figure(result.value)} ${result.unit}${ratio}${target}${note}`;
}
