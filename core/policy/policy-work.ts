/**
 * What is done with the text of a policy that somebody sends, in a thread of its own: see reading-thread.ts.
 *
 * @module
 */
import { explain, type Explanation, type Question } from './explanation.ts';
import { parsePolicy } from './policy-file.ts';
import type { Policy } from './policy-model.ts';
import { testPolicy, type PolicyTestResult } from './policy-test.ts';
import type { Subject } from './rules-for.ts';

export type PolicyTask =
  | { readonly kind: 'read'; readonly text: string }
  | { readonly kind: 'check'; readonly text: string }
  | {
      readonly kind: 'explain';
      readonly text: string;
      readonly subject: Subject;
      readonly question: Question;
    }
  | {
      readonly kind: 'test';
      readonly text: string;
      readonly tests: string;
      readonly casesMax: number;
    };

/** A role of a policy, and how many rules it has. */
export interface RoleSummary {
  readonly name: string;
  readonly rules: number;
}

export type PolicyWorkResult =
  | { readonly kind: 'read'; readonly policy: Policy }
  | { readonly kind: 'check'; readonly roles: readonly RoleSummary[] }
  | { readonly kind: 'explain'; readonly explanation: Explanation }
  | { readonly kind: 'test'; readonly tested: PolicyTestResult };

/** @throws FlotillaError `policy-invalid`, `policy-test-invalid` */
export function workOnPolicy(task: PolicyTask): PolicyWorkResult {
  const policy = parsePolicy(task.text);
  switch (task.kind) {
    case 'read':
      return { kind: 'read', policy };
    case 'check': {
      const roles = [...policy.roles.values()];
      return {
        kind: 'check',
        roles: roles.map(({ name, rules }) => ({ name, rules: rules.length })),
      };
    }
    case 'explain':
      return { kind: 'explain', explanation: explain(policy, task.subject, task.question) };
    case 'test': {
      const { cases, ...tested } = testPolicy(policy, task.tests);
      return { kind: 'test', tested: { ...tested, cases: cases.slice(0, task.casesMax) } };
    }
  }
}
