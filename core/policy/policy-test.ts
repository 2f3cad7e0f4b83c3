/**
 * Tests a policy with a file of expected decisions, for the CI of operators.
 *
 * ```yaml
 * tests:
 *   - device: sensor-1
 *     group: plant-a # and role (device unless set), attributes, address, standing
 *     allow:
 *       - publish: devices/sensor-1/telemetry
 *         qos: 1 # and retain, payloadBytes
 *       - connect: sensor-1
 *     deny:
 *       - subscribe: devices/#
 * ```
 *
 * @module
 */
import { z } from 'zod';
import { isDeviceId } from '../device-id.ts';
import { explain, type Question } from './explanation.ts';
import type { Policy } from './policy-model.ts';
import type { Subject } from './rules-for.ts';
import { readYaml } from './yaml-source.ts';

/** Maximum size of a test file, in bytes. */
export const policyTestMaxBytes = 4 * 1024 * 1024;

const topic = z.string().min(1).max(65_535);
const questionSchema = z
  .strictObject({
    publish: topic.optional(),
    subscribe: topic.optional(),
    receive: topic.optional(),
    connect: topic.optional(),
    qos: z.union([z.literal(0), z.literal(1), z.literal(2)]).optional(),
    retain: z.boolean().optional(),
    payloadBytes: z.int().min(0).optional(),
  })
  .refine(
    ({ publish, subscribe, receive, connect }) =>
      [publish, subscribe, receive, connect].filter((one) => one !== undefined).length === 1,
    'exactly one of publish, subscribe, receive and connect is required',
  );
type QuestionText = z.infer<typeof questionSchema>;

const testsSchema = z.strictObject({
  tests: z
    .array(
      z.strictObject({
        device: z.string().refine(isDeviceId, 'not a valid device id'),
        role: z.string().min(1).max(64).default('device'),
        group: z.string().max(128).optional(),
        attributes: z.record(z.string(), z.string()).default({}),
        address: z.string().optional(),
        standing: z.enum(['full', 'renewal-only', 'quarantined']).default('full'),
        allow: z.array(questionSchema).default([]),
        deny: z.array(questionSchema).default([]),
      }),
    )
    .min(1),
});

type ExpectedIdentity = Omit<z.infer<typeof testsSchema>['tests'][number], 'allow' | 'deny'>;

/** One expected decision and the real one. */
export interface PolicyTestCase {
  readonly identity: ExpectedIdentity;
  readonly question: Question;
  readonly expected: boolean;
  readonly allowed: boolean;
  readonly reason: string;
}

export interface PolicyTestResult {
  /** All decisions, in the order of the file. */
  readonly cases: readonly PolicyTestCase[];
  readonly passed: number;
  /** One sentence per failure. */
  readonly failures: readonly string[];
}

/**
 * Compares the decisions of a policy with the expected ones.
 *
 * @throws FlotillaError `policy-test-invalid` with line and column when the file is not valid
 */
export function testPolicy(policy: Policy, yamlText: string): PolicyTestResult {
  const source = readYaml(yamlText, policyTestMaxBytes, 'policy-test-invalid');
  const result = testsSchema.safeParse(source.value);
  if (!result.success) throw source.fault(result.error.issues, testsSchema);
  const cases = result.data.tests.flatMap(({ allow, deny, ...identity }) => {
    const subject = subjectOf(identity);
    return [
      ...allow.map((question) => ({ question: questionOf(question), expected: true })),
      ...deny.map((question) => ({ question: questionOf(question), expected: false })),
    ].map(({ question, expected }) => {
      const { allowed, reason } = explain(policy, subject, question);
      return { identity, question, expected, allowed, reason };
    });
  });
  const failed = cases.filter(({ allowed, expected }) => allowed !== expected);
  return {
    cases,
    passed: cases.length - failed.length,
    failures: failed.map(
      ({ identity, question, expected, allowed, reason }) =>
        `${identity.device} ${question.action} ${question.topic}: expected ${outcomeOf(expected)}, is ${outcomeOf(allowed)}: ${reason}`,
    ),
  };
}

function subjectOf(identity: ExpectedIdentity): Subject {
  return {
    id: identity.device,
    role: identity.role,
    group: identity.group ?? null,
    attributes: identity.attributes,
    standing: identity.standing,
    remoteAddress: identity.address,
  };
}

function outcomeOf(allowed: boolean): string {
  return allowed ? 'allowed' : 'denied';
}

function questionOf({ qos, retain, payloadBytes, ...asked }: QuestionText): Question {
  const actions = ['publish', 'subscribe', 'receive', 'connect'] as const;
  const action = actions.find((one) => asked[one] !== undefined) ?? 'publish';
  return {
    action,
    topic: asked[action] ?? '',
    ...(qos === undefined ? {} : { qos }),
    ...(retain === undefined ? {} : { retain }),
    ...(payloadBytes === undefined ? {} : { payloadBytes }),
  };
}
