/**
 * Conditions of a rule on the identity: `when: { group: plant-a, attributes: { kind: [pump, valve] } }`.
 *
 * All conditions must be met. An identity without a group, or without one of the attributes, does not meet a
 * condition on it.
 *
 * @module
 */
import { z } from 'zod';

/** What the conditions look at. */
export interface IdentityFacts {
  readonly group: string | null;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface IdentityCondition {
  /** One of these groups; undefined: any, or none. */
  readonly groups: ReadonlySet<string> | undefined;
  /** By the name of an attribute: one of these values. */
  readonly attributes: ReadonlyMap<string, ReadonlySet<string>>;
}

const oneOrMore = (
  maxChars: number,
): z.ZodPipe<z.ZodUnion, z.ZodTransform<ReadonlySet<string>>> => {
  const text = z.string().min(1).max(maxChars);
  return z
    .union([text, z.array(text).min(1).max(256)])
    .transform((value): ReadonlySet<string> => new Set([value].flat()));
};

export const identityConditionSchema = z
  .strictObject({
    group: oneOrMore(128).optional(),
    attributes: z.record(z.string().min(1).max(64), oneOrMore(256)).optional(),
  })
  .refine(
    ({ group, attributes }) => group !== undefined || Object.keys(attributes ?? {}).length > 0,
    'when needs group or attributes',
  )
  .transform(({ group, attributes }): IdentityCondition => ({
    groups: group,
    attributes: new Map(Object.entries(attributes ?? {})),
  }));

/** The first condition that an identity does not meet, in words; undefined: it meets all. */
export function unmetByIdentity(
  condition: IdentityCondition | undefined,
  { group, attributes }: IdentityFacts,
): string | undefined {
  if (condition === undefined) return undefined;
  const { groups } = condition;
  if (groups !== undefined && (group === null || !groups.has(group))) {
    return `the group is ${[...groups].join(' or ')}`;
  }
  for (const [name, values] of condition.attributes) {
    const value = Object.hasOwn(attributes, name) ? attributes[name] : undefined;
    if (value === undefined || !values.has(value)) {
      return `the attribute ${name} is ${[...values].join(' or ')}`;
    }
  }
  return undefined;
}
