// Counts the assertions in TAP output. A subtest's closing line is no assertion of its own; it counts once, as
// a failure, when it failed although nothing inside did: a crash, a timeout, a wrong plan.

/**
 * @param {string} tap
 * @returns {{ passed: number, failures: { path: string, detail: string }[], skips: string[] }} paths are "file > test > assertion"
 */
export function countTap(tap) {
  const open = []; // enclosing subtests: { indent, name, failuresBefore, pointsBefore }
  const failures = [];
  const skips = [];
  let passed = 0;
  let yamlIndent = -1;
  let explained; // the failure whose diagnostics may follow
  for (const line of tap.split('\n')) {
    const indent = line.length - line.trimStart().length;
    const text = line.trim();
    if (yamlIndent >= 0) {
      if (text === '...' && indent === yamlIndent) yamlIndent = -1;
      else if (explained) explained.detail += `${line.slice(yamlIndent)}\n`;
      continue;
    }
    if (text === '---') {
      yamlIndent = indent;
      continue;
    }
    explained = undefined;
    const points = passed + failures.length + skips.length;
    if (text.startsWith('# Subtest')) {
      const name = text.replace(/^# Subtest:? ?/, '');
      open.push({ indent, name, failuresBefore: failures.length, pointsBefore: points });
      continue;
    }
    const point = /^(not )?ok \d+(?: - )?(.*)$/.exec(text);
    if (!point) continue;
    const [, not, title] = point;
    const directive = /(?:^|\s)# (SKIP|TODO)\b/i.exec(title);
    const parent = open.at(-1)?.indent === indent ? open.pop() : undefined;
    const path = [...open.map(({ name }) => name), title.replace(/ # time=\S+$/, '')].join(' > ');
    const own = !parent || (directive && points === parent.pointsBefore);
    if (own && directive) skips.push(path);
    else if (own && !not) passed++;
    else if (not && (own || failures.length === parent.failuresBefore)) {
      explained = { path, detail: '' };
      failures.push(explained);
    }
  }
  for (const { name } of open) failures.push({ path: `${name} never ended`, detail: '' });
  return { passed, failures, skips };
}
