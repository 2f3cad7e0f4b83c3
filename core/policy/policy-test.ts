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

export interface PolicyTestResult {
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
  if (!result.success) throw source.fault(result.error.issues);
  const failures: string[] = [];
  let passed = 0;
  for (const test of result.data.tests) {
    const subject: Subject = {
      id: test.device,
      role: test.role,
      group: test.group ?? null,
      attributes: test.attributes,
      standing: test.standing,
      remoteAddress: test.address,
    };
    for (const [expected, questions] of [
      [true, test.allow],
      [false, test.deny],
    ] as const) {
      for (const text of questions) {
        const question = questionOf(text);
        const { allowed, reason } = explain(policy, subject, question);
        if (allowed === expected) passed++;
        else {
          failures.push(
            `${subject.id} ${question.action} ${question.topic}: expected ${outcomeOf(expected)}, is ${outcomeOf(allowed)}: ${reason}`,
          );
        }
      }
    }
  }
  return { passed, failures };
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
