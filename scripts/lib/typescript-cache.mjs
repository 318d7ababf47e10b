// Tests in TypeScript as JavaScript, made once a text: loading the compiler takes every test file half a second.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'node_modules/.cache/refill-tests');
const { version } = JSON.parse(readFileSync(join(root, 'node_modules/typescript/package.json'), 'utf8'));

async function transpile(path, text) {
  const { default: ts } = await import('typescript');
  const { outputText, diagnostics } = ts.transpileModule(text, {
    fileName: path,
    reportDiagnostics: true,
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2023,
      verbatimModuleSyntax: true,
      inlineSourceMap: true,
    },
  });
  const [first] = diagnostics ?? [];
  if (first === undefined) return outputText;
  throw new SyntaxError(`${path}: ${ts.flattenDiagnosticMessageText(first.messageText, '\n')}`);
}

function nameOf(path, text) {
  return `${createHash('sha256').update(`${version}\0${path}\0${text}`).digest('hex')}.js`;
}

/** The JavaScript of a TypeScript file. Its positions map back to the file. */
export async function javascriptOf(path) {
  const text = readFileSync(path, 'utf8');
  const cached = join(folder, nameOf(path, text));
  try {
    return readFileSync(cached, 'utf8');
  } catch {
    const source = await transpile(path, text);
    mkdirSync(folder, { recursive: true });
    // Whole under its name, whoever else makes it at the same time.
    writeFileSync(`${cached}.${process.pid}`, source);
    renameSync(`${cached}.${process.pid}`, cached);
    return source;
  }
}

function* sourcesOf(parent) {
  for (const entry of readdirSync(parent, { withFileTypes: true })) {
    if (['node_modules', 'golden', '.tap'].includes(entry.name)) continue;
    const path = join(parent, entry.name);
    if (entry.isDirectory()) yield* sourcesOf(path);
    else if (entry.name.endsWith('.ts') && !entry.name.endsWith('.d.ts')) yield path;
  }
}

/** Makes everything that is not there, and drops what no file has any more. */
export async function fillCache() {
  mkdirSync(folder, { recursive: true });
  const stale = new Set(readdirSync(folder));
  // Tests, and what they import of the packages' sources.
  const waiting = [...sourcesOf(join(root, 'test'))];
  const seen = new Set(waiting);
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const text = readFileSync(path, 'utf8');
    await javascriptOf(path);
    stale.delete(nameOf(path, text));
    for (const [, specifier] of text.matchAll(/from '(\.{1,2}\/[^']+\.ts)'/g)) {
      const imported = join(dirname(path), specifier);
      if (!seen.has(imported) && existsSync(imported)) waiting.push(imported);
      seen.add(imported);
    }
  }
  for (const name of stale) rmSync(join(folder, name));
}
