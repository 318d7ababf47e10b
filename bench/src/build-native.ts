import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Unavailable } from './scenario.ts';

const native: string = fileURLToPath(new URL('../native/', import.meta.url));
const faultfs: string = fileURLToPath(new URL('../../test/faultfs/', import.meta.url));
const build: string = fileURLToPath(new URL('../build/', import.meta.url));

const FLAGS = { gcc: ['-std=gnu17'], 'g++': ['-std=c++20'] };

interface Program {
  name: string;
  compiler: keyof typeof FLAGS;
  /** Sources to compile; the headers beside them count when they change. */
  sources: readonly string[];
  flags: readonly string[];
  /** Packages to install where it does not compile. */
  install: string;
}

/** Compiles a program unless it is newer than everything it is made of. Returns its path. */
function compile({ name, compiler, sources, flags, install }: Program): string {
  const program = join(build, name);
  const folder = join(sources[0]!, '..');
  const headers = readdirSync(folder).filter((file) => file.endsWith('.h'));
  const changedMs = Math.max(
    ...[...sources, ...headers.map((file) => join(folder, file))].map((file) => statSync(file).mtimeMs),
  );
  if (existsSync(program) && statSync(program).mtimeMs > changedMs) return program;
  mkdirSync(build, { recursive: true });
  const all = [
    ...FLAGS[compiler],
    '-O2',
    '-Wall',
    '-Wextra',
    '-pthread',
    ...sources,
    '-o',
    program,
    ...flags,
  ];
  const { status, error, stderr } = spawnSync(compiler, all, { encoding: 'utf8' });
  if (error) throw new Unavailable(`${compiler} is missing: apt-get install ${compiler}`);
  if (status !== 0) throw new Unavailable(`${name} does not compile: apt-get install ${install}\n${stderr}`);
  return program;
}

/** Path of a program of `bench/native`, compiled when needed. `library` is what it links, with its package. */
export function nativeProgram(name: string, library?: { flags: readonly string[]; install: string }): string {
  const cxx = existsSync(join(native, `${name}.cc`));
  return compile({
    name,
    compiler: cxx ? 'g++' : 'gcc',
    sources: [join(native, `${name}.${cxx ? 'cc' : 'c'}`)],
    flags: library?.flags ?? [],
    install: library?.install ?? 'linux-libc-dev libc6-dev',
  });
}

/** Path of the FUSE file system that the tests use, which passes through when no fault is asked for. */
export function passthroughProgram(): string {
  const install = 'libfuse3-dev fuse3 pkg-config';
  if (!existsSync(faultfs)) throw new Unavailable(`${faultfs} is missing`);
  const { status, stdout } = spawnSync('pkg-config', ['--cflags', '--libs', 'fuse3'], { encoding: 'utf8' });
  if (status !== 0) throw new Unavailable(`libfuse3 is missing: apt-get install ${install}`);
  const sources = readdirSync(faultfs).filter((file) => file.endsWith('.c'));
  return compile({
    name: 'faultfs',
    compiler: 'gcc',
    sources: sources.map((file) => join(faultfs, file)),
    flags: stdout.trim().split(/\s+/),
    install,
  });
}
