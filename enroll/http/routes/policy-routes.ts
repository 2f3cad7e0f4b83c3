/**
 * Calls of operators about the policy: the fleet's policy, and what a policy would decide.
 *
 * @module
 */
import { z } from 'zod';
import type { DeviceId } from '../../../core/device-id.ts';
import { FlotillaError, isFlotillaError } from '../../../core/errors/flotilla-error.ts';
import { policyTextMaxBytes } from '../../../core/protocol/broker-query.ts';
import {
  brokerPolicySchema,
  policyCheckedSchema,
  policyDiffSchema,
  policyExplainedSchema,
  policyExplainRequestSchema,
  policySchema,
  policyCasesMax,
  policyTestedSchema,
  policyTestRequestSchema,
  policyTextRequestSchema,
} from '../../../core/protocol/operator-api.ts';
import { policyJsonSchema } from '../../../core/policy/policy-document.ts';
import type { PolicyReader } from '../../../core/policy/policy-reader.ts';
import type { PolicyTestCase } from '../../../core/policy/policy-test.ts';
import type { Subject } from '../../../core/policy/rules-for.ts';
import type { BrokerQueries } from '../../feed/broker-queries.ts';
import type { Feed } from '../../feed/directory-feed.ts';
import { assignedRole } from '../../registry/assigned-role.ts';
import type { FleetPolicy, StoredPolicy } from '../../policy/fleet-policy.ts';
import type { BrokerReports } from '../../queries/broker-list.ts';
import type { DeviceTable } from '../../queries/device-table.ts';
import { iso } from '../device-view.ts';
import { route, type HttpRoute } from '../route.ts';
import { brokerParams, brokerTimeoutMs } from './broker-routes.ts';

export interface PolicyRouteDeps {
  readonly feed: Feed;
  readonly policy: FleetPolicy;
  readonly queries: BrokerQueries;
  readonly reader: PolicyReader;
  readonly samples: BrokerReports;
  readonly table: DeviceTable;
}

const bodyMaxBytes = 2 * policyTextMaxBytes + 4096;
/** A broker looks at every subscription of every session. */
const diffTimeoutMs = 30_000;

export function policyRoutes(deps: PolicyRouteDeps): HttpRoute[] {
  return [...storedRoutes(deps), ...trialRoutes(deps), ...brokerRoutes(deps)];
}

function storedRoutes({ policy, samples }: PolicyRouteDeps): HttpRoute[] {
  const view = (stored: StoredPolicy): z.infer<typeof policySchema> => ({
    text: stored.text,
    sha256: stored.sha256,
    source: stored.source,
    updatedAt: stored.updatedAtMs === undefined ? null : iso(stored.updatedAtMs),
    updatedBy: stored.updatedBy ?? null,
    brokers: samples.names.flatMap((broker) => {
      const inForce = samples.latest(broker)?.policy;
      return inForce === undefined || inForce === null
        ? []
        : [{ broker, ...inForce, isCurrent: inForce.sha256 === stored.sha256 }];
    }),
  });
  return [
    route({
      method: 'GET',
      path: '/v1/policy',
      summary: "The fleet's policy, and what is in force at each broker",
      access: 'viewer',
      response: policySchema,
      async handle({ header }) {
        const stored = await policy.get();
        header('etag', `"${stored.sha256}"`);
        return view(stored);
      },
    }),
    route({
      method: 'GET',
      path: '/v1/policy/schema',
      summary: 'The JSON Schema of a policy, for editors',
      access: 'viewer',
      response: z.record(z.string(), z.unknown()),
      handle: () => Promise.resolve(policyJsonSchema()),
    }),
    route({
      method: 'PUT',
      path: '/v1/policy',
      summary: "Replaces the fleet's policy",
      access: 'admin',
      ifMatch: 'required',
      body: policyTextRequestSchema,
      bodyMaxBytes,
      response: policySchema,
      async handle({ body, headers, header, actor }) {
        const expected = etagOf(headers['if-match']);
        const stored = await policy.put(body.text, expected, actor);
        header('etag', `"${stored.sha256}"`);
        return view(stored);
      },
    }),
  ];
}

/** @throws FlotillaError `request-invalid` without one tag, or `*` */
function etagOf(header: string | undefined): string {
  const [, tag] = /^(?:W\/)?"([0-9a-f]{64})"$/.exec(header ?? '') ?? [];
  const expected = header === '*' ? header : tag;
  if (expected === undefined) {
    throw new FlotillaError('request-invalid', {
      detail: 'send If-Match with the ETag of the policy that was edited, or *',
    });
  }
  return expected;
}

function trialRoutes({ policy, reader, table }: PolicyRouteDeps): HttpRoute[] {
  const textOf = async (text: string | undefined): Promise<string> =>
    text ?? (await policy.get()).text;
  return [
    route({
      method: 'POST',
      path: '/v1/policy/check',
      summary: 'Whether a policy is valid, and its roles',
      access: 'viewer',
      body: policyTextRequestSchema,
      bodyMaxBytes,
      response: policyCheckedSchema,
      async handle({ body, actor }): Promise<z.infer<typeof policyCheckedSchema>> {
        try {
          return { ok: true, error: null, roles: [...(await reader.check(body.text, actor))] };
        } catch (error) {
          if (!isFlotillaError(error, 'policy-invalid')) throw error;
          const [, line, column] = /line (\d+), column (\d+)/.exec(error.detail ?? '') ?? [];
          return {
            ok: false,
            roles: [],
            error: {
              detail: error.detail ?? error.message,
              line: line === undefined ? null : Number(line),
              column: column === undefined ? null : Number(column),
            },
          };
        }
      },
    }),
    route({
      method: 'POST',
      path: '/v1/policy/explain',
      summary: 'Why something is allowed or denied',
      access: 'viewer',
      body: policyExplainRequestSchema,
      bodyMaxBytes,
      response: policyExplainedSchema,
      async handle({ body, actor }) {
        const { text, action, topic, qos, retain, payloadBytes } = body;
        const subject = subjectOf(table, body);
        const question = {
          action,
          topic,
          ...(qos === undefined ? {} : { qos }),
          ...(retain === undefined ? {} : { retain }),
          ...(payloadBytes === undefined ? {} : { payloadBytes }),
        };
        const answer = await reader.explain(await textOf(text), subject, question, actor);
        return {
          allowed: answer.allowed,
          code: answer.code ?? null,
          rule: answer.rule ?? null,
          expansion: answer.expansion ?? null,
          reason: answer.reason,
          nearest: answer.nearest ?? null,
        };
      },
    }),
    route({
      method: 'POST',
      path: '/v1/policy/test',
      summary: 'Compares a policy with a file of expected decisions',
      access: 'viewer',
      body: policyTestRequestSchema,
      bodyMaxBytes: 2 * bodyMaxBytes,
      response: policyTestedSchema,
      async handle({ body, actor }) {
        const text = await textOf(body.text);
        const result = await reader.test(text, body.tests, policyCasesMax, actor);
        return {
          passed: result.passed,
          failures: [...result.failures],
          cases: result.cases.map(caseOf),
        };
      },
    }),
  ];
}

function caseOf({
  identity,
  question,
  ...decision
}: PolicyTestCase): z.infer<typeof policyTestedSchema>['cases'][number] {
  const { group = null, address = null } = identity;
  const { action, topic, qos = null, retain = null, payloadBytes = null } = question;
  return { ...identity, group, address, action, topic, qos, retain, payloadBytes, ...decision };
}

/** The identity of the registry with that id, with what the question says instead. */
function subjectOf(
  table: DeviceTable,
  { device, role, group, attributes, address }: z.infer<typeof policyExplainRequestSchema>,
): Subject {
  // The seam to the registry: an id that no device can have is not found.
  const record = table.get(device as DeviceId);
  return {
    id: device,
    role: role ?? (record === undefined ? 'device' : assignedRole(record)),
    group: group ?? record?.group ?? null,
    attributes: attributes ?? record?.attributes ?? {},
    standing: record?.status === 'quarantined' ? 'quarantined' : 'full',
    remoteAddress: address,
  };
}

function brokerRoutes({ feed, queries, reader }: PolicyRouteDeps): HttpRoute[] {
  return [
    route({
      method: 'GET',
      path: '/v1/brokers/:broker/policy',
      summary: 'The policy in force at a broker',
      access: 'viewer',
      params: brokerParams,
      response: brokerPolicySchema,
      handle: ({ params }) =>
        queries.ask(params.broker, { kind: 'policy' }, { timeoutMs: brokerTimeoutMs }),
    }),
    route({
      method: 'POST',
      path: '/v1/policy/diff',
      summary: 'Which subscriptions of live and kept sessions a policy would take away',
      access: 'viewer',
      body: policyTextRequestSchema,
      bodyMaxBytes,
      response: policyDiffSchema,
      async handle({ body, actor }) {
        await reader.check(body.text, actor);
        const brokers = await Promise.all(
          feed.brokers.map(async (broker) => {
            const query = { kind: 'policy-diff', text: body.text } as const;
            const answer = await queries.ask(broker, query, { timeoutMs: diffTimeoutMs });
            return { broker, ...answer };
          }),
        );
        return { brokers };
      },
    }),
  ];
}
