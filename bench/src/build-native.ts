import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Unavailable } from './scenario.ts';

const sources: string = fileURLToPath(new URL('../native/', import.meta.url));
const build: string = fileURLToPath(new URL('../build/', import.meta.url));

const C = { compiler: 'gcc', args: ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-pthread'] };
const CXX = { compiler: 'g++', args: ['-std=c++20', '-O2', '-Wall', '-Wextra', '-pthread'] };

/** Newest modification among the program's source and the headers. */
function changedMs(source: string): number {
  const headers = readdirSync(sources).filter((name) => name.endsWith('.h'));
  return Math.max(...[source, ...headers].map((name) => statSync(sources + name).mtimeMs));
}

/**
 * Path of a program of `bench/native`, compiled when it is older than its sources. `libraries` are linker flags, with
 * the package to install where they are missing.
 */
export function nativeProgram(
  name: string,
  libraries?: { flags: readonly string[]; install: string },
): string {
  const cxx = existsSync(`${sources}${name}.cc`);
  const source = `${name}.${cxx ? 'cc' : 'c'}`;
  const program = build + name;
  if (existsSync(program) && statSync(program).mtimeMs > changedMs(source)) return program;
  mkdirSync(build, { recursive: true });
  const { compiler, args } = cxx ? CXX : C;
  const all = [...args, sources + source, '-o', program, ...(libraries?.flags ?? [])];
  const { status, error, stderr } = spawnSync(compiler, all, { encoding: 'utf8' });
  if (error) throw new Unavailable(`${compiler} is missing: apt-get install ${compiler}`);
  if (status !== 0) {
    const hint =
      libraries === undefined ? '' : `; it needs ${libraries.install}: apt-get install ${libraries.install}`;
    throw new Unavailable(`${source} does not compile${hint}\n${stderr}`);
  }
  return program;
}
