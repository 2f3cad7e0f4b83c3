/**
 * Topic templates of the policy: filters with `{device}`, `{group}`, `{role}` and `{attr.NAME}`, and their
 * expansion for one identity. Values that could change the meaning of a topic are never inserted.
 *
 * @module
 */
import { topicFilterFault } from '../topic.ts';

/** The values of the variables. */
export interface TemplateValues {
  readonly id: string;
  readonly role: string;
  readonly group: string | null;
  readonly attributes: Readonly<Record<string, string>>;
}

type Variable = 'device' | 'group' | 'role' | `attr.${string}`;
type Part = { readonly text: string } | { readonly variable: Variable };

export interface TopicTemplate {
  readonly source: string;
  /** The parts of each topic level. */
  readonly levels: readonly (readonly Part[])[];
  /** Whether it contains no variable. */
  readonly constant: boolean;
}

/** The result of an expansion: a filter, or why there is none. */
export type Expansion =
  | { readonly filter: string }
  | { readonly missing: string }
  | { readonly unsafe: string; readonly widened: string };

/** Maximum length of a template, in characters. */
export const templateMaxChars = 1024;

/**
 * Parses a template.
 *
 * @returns the template, or a sentence that describes the error
 */
export function parseTemplate(source: string): TopicTemplate | string {
  const levels: Part[][] = [];
  let constant = true;
  for (const level of source.split('/')) {
    const parts: Part[] = [];
    for (const piece of level.split(/(\{[^{}]*\})/)) {
      if (piece === '') continue;
      if (!piece.startsWith('{') || !piece.endsWith('}')) {
        if (/[{}]/.test(piece)) return `a brace that is not part of a variable: ${piece}`;
        parts.push({ text: piece });
        continue;
      }
      const name = piece.slice(1, -1);
      if (!isVariable(name)) {
        return `the variable {${name}} is not known; use {device}, {group}, {role} or {attr.NAME}`;
      }
      parts.push({ variable: name });
      constant = false;
    }
    levels.push(parts);
  }
  // With a valid value for each variable, the template must be a valid filter.
  const probe = levels
    .map((parts) => parts.map((part) => ('text' in part ? part.text : 'x')).join(''))
    .join('/');
  const fault = topicFilterFault(probe);
  if (fault !== undefined) return `not a topic filter (${fault})`;
  if (probe.startsWith('$share/')) return 'use the filter without $share/{group}/';
  return { source, levels, constant };
}

/**
 * Expands a template for one identity. A value is unsafe when it is empty, contains `/`, `+`, `#` or NUL,
 * or starts with `$`. Then `widened` has a `+` instead of each such level: it is used for deny rules, and
 * allow rules must not apply.
 */
export function expandTemplate(template: TopicTemplate, values: TemplateValues): Expansion {
  if (template.constant) return { filter: template.source };
  let unsafe: string | undefined;
  const levels: string[] = [];
  for (const parts of template.levels) {
    let level = '';
    for (const part of parts) {
      if ('text' in part) {
        if (level !== '+') level += part.text;
        continue;
      }
      const value = valueOf(part.variable, values);
      if (value === undefined) return { missing: part.variable };
      if (isSafe(value)) {
        level += value;
        continue;
      }
      unsafe ??= part.variable;
      level = '+';
      break;
    }
    levels.push(level);
  }
  const filter = levels.join('/');
  return unsafe === undefined ? { filter } : { unsafe, widened: filter };
}

function isVariable(name: string): name is Variable {
  return (
    name === 'device' ||
    name === 'group' ||
    name === 'role' ||
    /^attr\.[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)
  );
}

function valueOf(variable: Variable, values: TemplateValues): string | undefined {
  if (variable === 'device') return values.id;
  if (variable === 'role') return values.role;
  if (variable === 'group') return values.group ?? undefined;
  const name = variable.slice('attr.'.length);
  return Object.hasOwn(values.attributes, name) ? values.attributes[name] : undefined;
}

function isSafe(value: string): boolean {
  return value !== '' && !/[/+#\0]/.test(value) && !value.startsWith('$') && value.isWellFormed();
}
