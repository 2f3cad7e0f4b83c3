/** Adds a rule to the text of a policy, so that its comments and its form stay. @module */

/**
 * The text with a rule at the end of the rules of a role.
 *
 * @param rule YAML of one entry of a list, not indented
 * @returns undefined when the role has no list of rules in block form
 */
export function withRule(text: string, role: string, rule: string): string | undefined {
  const lines = text.split('\n');
  const roles = lines.findIndex((line) => /^roles:\s*(?:#.*)?$/.test(line));
  const own = findKey(lines, roles, role);
  const rules = own === undefined ? undefined : findKey(lines, own, 'rules');
  if (roles < 0 || rules === undefined) return undefined;
  if (!/:\s*(?:#.*)?$/.test(lines[rules] ?? '')) return undefined;
  const column = indentOf(lines[rules] ?? '');
  const entries: number[] = [];
  for (let at = rules + 1; at < lines.length; at++) {
    const line = lines[at] ?? '';
    if (isEmpty(line)) continue;
    const isEntry = /^\s*-/.test(line);
    if (indentOf(line) < column || (indentOf(line) === column && !isEntry)) break;
    entries.push(at);
  }
  const first = entries.find((at) => /^\s*-/.test(lines[at] ?? ''));
  const indent = ' '.repeat(first === undefined ? column + 2 : indentOf(lines[first] ?? ''));
  const added = rule.split('\n').map((line) => indent + line);
  const after = entries.at(-1) ?? rules;
  return [...lines.slice(0, after + 1), ...added, ...lines.slice(after + 1)].join('\n');
}

/** The line of a key directly below another one. */
function findKey(lines: readonly string[], parent: number, key: string): number | undefined {
  if (parent < 0) return undefined;
  const outer = indentOf(lines[parent] ?? '');
  let inner: number | undefined;
  for (let at = parent + 1; at < lines.length; at++) {
    const line = lines[at] ?? '';
    if (isEmpty(line)) continue;
    const indent = indentOf(line);
    if (indent <= outer) return undefined;
    inner ??= indent;
    const [, name] = /^\s*["']?([A-Za-z0-9][A-Za-z0-9._-]*)["']?\s*:/.exec(line) ?? [];
    if (indent === inner && name === key) return at;
  }
  return undefined;
}

function isEmpty(line: string): boolean {
  return /^\s*(?:#|$)/.test(line);
}

function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}
