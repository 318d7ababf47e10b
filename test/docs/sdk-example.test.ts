import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import ts from 'typescript';
import { runProgram } from '../fixtures/child.ts';
import { nodePlace, repository, startNodeProcess } from '../fixtures/node-process.ts';

t.test('the example of the SDK page runs as it stands and prints what it says', async (t) => {
  const page = readFileSync(join(repository, 'docs/sdk.md'), 'utf8');
  const example = /```ts\n\/\/ @example\n([\s\S]*?)```/.exec(page)?.[1];
  t.ok(example, 'the page has an example');
  const expected = [...example!.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map((match) => match[1]);
  const { outputText } = ts.transpileModule(example!, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });

  const place = nodePlace(t);
  await startNodeProcess(t, place);
  // Beside the tests, so that it finds the SDK as a user's program would in its own project.
  const program = join(repository, 'test', `.sdk-example-${process.pid}.mjs`);
  writeFileSync(program, outputText);
  t.teardown(() => import('node:fs').then(({ rmSync }) => rmSync(program, { force: true })));
  const { code, stdout, stderr } = await runProgram([program], { env: { REFILL_SOCKET: place.socketPath } });
  t.equal(code, 0, stderr);
  t.same(stdout.trim().split('\n'), expected);
});
