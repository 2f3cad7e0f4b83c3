/**
 * What is wrong with a value that does not fit a schema, in words: zod's own texts are for programmers.
 *
 * @module
 */
import type { z } from 'zod';

type Issue = z.core.$ZodIssue;

/** `must be at least 1`: without the name of the value, without a period. */
export function issueText(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${articleOf(issue.expected)}`;
    case 'too_small':
      return `must ${sizeText(issue.origin, 'at least', issue.minimum)}`;
    case 'too_big':
      return `must ${sizeText(issue.origin, 'at most', issue.maximum)}`;
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}`;
    case 'unrecognized_keys':
      return `unknown: ${issue.keys.join(', ')}`;
    case 'invalid_format':
      return isOwnText(issue.message)
        ? issue.message
        : `is not in the required form (${formOf(issue)})`;
    default:
      return issue.message;
  }
}

const articles: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  string: 'text',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};

function articleOf(expected: string): string {
  return articles[expected] ?? expected;
}

function sizeText(origin: string, bound: string, size: number | bigint): string {
  if (origin === 'string') return `have ${bound} ${size} characters`;
  if (origin === 'array' || origin === 'set') return `have ${bound} ${size} items`;
  return `be ${bound} ${size}`;
}

/** Schemas of ours have messages such as "not a name for a key". */
function isOwnText(message: string): boolean {
  return !/^Invalid /.test(message);
}

function formOf({
  format,
  pattern,
}: {
  readonly format: string;
  readonly pattern?: string | undefined;
}): string {
  return format === 'regex' && pattern !== undefined ? pattern : format;
}
