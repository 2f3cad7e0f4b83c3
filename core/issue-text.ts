/**
 * What is wrong with a value that does not fit a schema, in words: zod's own texts are for programmers.
 *
 * @module
 */
import type { z } from 'zod';

type Issue = z.core.$ZodIssue;

/** A fault of a value: where it is, and what is wrong there. */
export interface ValueFault {
  readonly path: readonly PropertyKey[];
  /** {@link issueText} */
  readonly text: string;
  /** A setting whose name is unknown; `path` ends with it. */
  readonly unknownKey: string | undefined;
}

/** The most specific fault of an issue: in a union, the one of the alternative that fits best. */
export function faultOf(issue: Issue): ValueFault {
  if (issue.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys;
    return { path: [...issue.path, key], text: `unknown setting ${key}`, unknownKey: key };
  }
  const inner = innerIssues(issue).map((one) => faultOf(one));
  const [deepest] = inner.toSorted((one, other) => other.path.length - one.path.length);
  if (deepest === undefined || deepest.path.length === 0) {
    return { path: issue.path, text: issueText(issue), unknownKey: undefined };
  }
  return { ...deepest, path: [...issue.path, ...deepest.path] };
}

/** The faults in one line: `tests.0.device: is missing; …`. At most five, and at most 1,000 characters. */
export function issuesText(issues: readonly Issue[], ...where: readonly string[]): string {
  return issues
    .slice(0, 5)
    .map((issue) => {
      const { path, text } = faultOf(issue);
      const place = [...where, ...path.map(String)].join('.');
      return place === '' ? text : `${place}: ${text}`;
    })
    .join('; ')
    .slice(0, 1000);
}

/** `must be at least 1`: without the name of the value, without a period. */
export function issueText(issue: Issue): string {
  if (isOwnText(issue)) return issue.message;
  switch (issue.code) {
    case 'invalid_type':
      return issue.message.endsWith('received undefined')
        ? 'is missing'
        : `must be ${articleOf(issue.expected)}`;
    case 'too_small':
      return `must ${sizeText(issue.origin, issue.inclusive === false ? 'more than' : 'at least', issue.minimum)}`;
    case 'too_big':
      return `must ${sizeText(issue.origin, issue.inclusive === false ? 'less than' : 'at most', issue.maximum)}`;
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`;
    case 'invalid_value': {
      const [only, ...others] = issue.values.map(String);
      return others.length === 0
        ? `must be ${only ?? ''}`
        : `must be one of ${issue.values.join(', ')}`;
    }
    case 'unrecognized_keys':
      return `unknown: ${issue.keys.join(', ')}`;
    case 'invalid_format':
      return `is not in the required form (${formOf(issue)})`;
    case 'invalid_union':
      return unionText(issue.errors.flat());
    case 'invalid_key': {
      const [fault] = issue.issues;
      return fault === undefined ? 'has an invalid name' : `its name ${issueText(fault)}`;
    }
    case 'invalid_element':
      return 'has an item that is not valid';
    case 'custom':
      return 'is not valid';
  }
}

/** `must be auto or a whole number`, if each alternative is a value that must be something. */
function unionText(alternatives: readonly Issue[]): string {
  const texts = [...new Set(alternatives.map(issueText))];
  const prefix = 'must be ';
  if (texts.length === 0) return 'is not valid';
  return texts.every((text) => text.startsWith(prefix))
    ? `${prefix}${texts.map((text) => text.slice(prefix.length)).join(' or ')}`
    : texts.join(', or ');
}

function innerIssues(issue: Issue): readonly Issue[] {
  return issue.code === 'invalid_union' ? issue.errors.flat() : [];
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

/** Schemas of ours have messages such as "not a name for a key"; those of zod begin with these words. */
function isOwnText({ message }: Issue): boolean {
  return !/^(?:Invalid|Too small|Too big|Unrecognized|No matching)\b/.test(message);
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
