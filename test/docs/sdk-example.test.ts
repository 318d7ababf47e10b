import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import ts from 'typescript';
import { runProgram } from '../fixtures/child.ts';
import { nodePlace, repository, startNodeProcess } from '../fixtures/node-process.ts';

t.test('the examples of the SDK page run as they stand and print what they say', async (t) => {
  const page = readFileSync(join(repository, 'docs/sdk.md'), 'utf8');
  const examples = [...page.matchAll(/```ts\n\/\/ @example\n([\s\S]*?)```/g)].map((match) => match[1]!);
  t.equal(examples.length, 3, 'the page has its examples');
  const place = nodePlace(t);
  await startNodeProcess(t, place);
  for (const [i, example] of examples.entries()) {
    const expected = [...example.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map((match) => match[1]);
    const { outputText } = ts.transpileModule(example, {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
    });
    // Beside the tests, so that it finds the SDK as a user's program would in its own project.
    const program = join(repository, 'test', `.sdk-example-${process.pid}-${i}.mjs`);
    writeFileSync(program, outputText);
    t.teardown(() => rmSync(program, { force: true }));
    const { code, stdout, stderr } = await runProgram([program], {
      env: { REFILL_SOCKET: place.socketPath },
    });
    t.equal(code, 0, stderr);
    t.same(stdout.trim().split('\n'), expected);
  }
});
