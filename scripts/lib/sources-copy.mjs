// A copy of the sources as JavaScript, of which a text can be replaced: for tests of the tests.
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const PACKAGES = ['interface', 'metadata', 'store'];
const OPTIONS = {
  compilerOptions: {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    verbatimModuleSyntax: true,
    rewriteRelativeImportExtensions: true,
  },
};

/** Every .ts file below a folder, as path and text. */
function sources(folder) {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts') && !name.includes('node_modules'))
    .map((name) => [join(folder, name), readFileSync(join(folder, name), 'utf8')]);
}

/** A file's text as JavaScript in the copy: beside the source for tests that import it, in dist for the package. */
export function write(copy, path, text) {
  const relative = path.slice(root.length + 1);
  const { outputText } = ts.transpileModule(text, { ...OPTIONS, fileName: `${relative.slice(0, -3)}.mts` });
  for (const name of [relative, relative.replace(/^(packages\/[^/]+)\/src\//, '$1/dist/')]) {
    const to = join(copy, `${name.slice(0, -3)}.js`);
    mkdirSync(dirname(to), { recursive: true });
    writeFileSync(to, outputText);
  }
}

/** Packages and these folders of the tests, in a folder of its own. Whoever makes it removes it. */
export function makeCopy(folders) {
  const copy = mkdtempSync(join(tmpdir(), 'refill-copy-'));
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  for (const name of PACKAGES) {
    const from = join(root, 'packages', name);
    mkdirSync(join(copy, 'packages', name), { recursive: true });
    for (const part of ['package.json', 'node_modules']) {
      cpSync(join(from, part), join(copy, 'packages', name, part), {
        recursive: true,
        verbatimSymlinks: true,
      });
    }
    for (const [path, text] of sources(join(from, 'src'))) write(copy, path, text);
  }
  for (const part of ['package.json', 'node_modules', 'golden']) {
    cpSync(join(root, 'test', part), join(copy, 'test', part), { recursive: true, verbatimSymlinks: true });
  }
  for (const folder of folders) {
    for (const [path, text] of sources(join(root, 'test', folder))) write(copy, path, text);
  }
  return copy;
}

/** A text as an expression in which any white space is as good as another. */
export function expression(find) {
  if (find instanceof RegExp) return find;
  const words = find.split(/\s+/).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(words.join('\\s+'), 'g');
}

/** The one file of a package that holds the text, exactly once. */
export function place({ name, package: one, find }) {
  const hits = sources(join(root, 'packages', one, 'src')).flatMap(([path, text]) =>
    [...text.matchAll(expression(find))].map(() => [path, text]),
  );
  if (hits.length !== 1)
    throw new Error(`${name}: its text is found ${hits.length} times, not once: ${find}`);
  return hits[0];
}
