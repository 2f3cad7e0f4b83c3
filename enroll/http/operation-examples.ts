/**
 * Examples for the OpenAPI document: request bodies written by hand, and responses made from their schemas.
 * A test checks that each call with a body has one, and that it is valid.
 *
 * @module
 */

const csr = '-----BEGIN CERTIFICATE REQUEST-----\n…\n-----END CERTIFICATE REQUEST-----\n';
const fingerprint = `sha256:${'5a'.repeat(32)}`;
const tests = 'tests:\n  - device: pump-7\n    allow:\n      - publish: devices/pump-7/telemetry\n';
const certificate = '-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n';
const policy =
  'version: 1\nroles:\n  device:\n    rules:\n      - allow: [publish, subscribe]\n        topics: ["devices/{device}/#"]\n';
const plan = 'name: smoke\nfleet:\n  - group: meters\n    count: 100\nphases:\n  - phase: enroll\n';

/** Request bodies by method and path. */
export const requestExamples: Readonly<Record<string, unknown>> = {
  'POST /v1/enroll': { device: 'pump-7', csr },
  'POST /v1/renew': { csr },
  'POST /v1/relay/renew': {
    device: 'pump-7',
    serial: '0a1b2c3d',
    fingerprint,
    csr,
    remoteAddress: '192.0.2.7',
  },
  'POST /v1/tokens': { device: 'pump-7', group: 'north', ttlSeconds: 86_400 },
  'POST /v1/tokens/batch': { devices: ['pump-7', 'pump-8'], group: 'north' },
  'POST /v1/tokens/group': { group: 'north', uses: 50, ttlSeconds: 604_800 },
  'POST /v1/reconcile': { action: 'apply', adopt: true, expected: 2 },
  'POST /v1/services': { name: 'backend', role: 'service', csr },
  'POST /v1/requests/:id/approve': { group: 'north' },
  'POST /v1/requests/:id/deny': {},
  'PATCH /v1/devices/:id': { group: 'south', attributes: { site: 'Oslo', line: null } },
  'POST /v1/devices/:id/revoke': { reason: 'keyCompromise' },
  'POST /v1/devices/:id/suspend': {},
  'POST /v1/devices/:id/resume': {},
  'POST /v1/devices/:id/disconnect': { clientId: 'pump-7' },
  'POST /v1/devices/bulk': {
    filter: { group: 'north', status: 'active' },
    action: 'suspend',
    expected: 42,
  },
  'POST /v1/groups/:group/revoke': { reason: 'cessationOfOperation' },
  'POST /v1/issuers': { purpose: 'devices' },
  'POST /v1/issuers/requests': { purpose: 'devices' },
  'POST /v1/issuers/import': { chain: certificate },
  'POST /v1/issuers/:fingerprint/withdraw': { compromised: true },
  'POST /v1/roots': {},
  'POST /v1/roots/import': { certificate },
  'POST /v1/roots/crl': {},
  'POST /v1/factories': {
    name: 'acme',
    certificate,
  },
  'POST /v1/devices/:id/commands': { name: 'echo', payload: 'hello', waitSeconds: 5 },
  'POST /v1/messages': { topic: 'devices/pump-7/commands/reboot', payload: '{"after":5}', qos: 1 },
  'PUT /v1/policy': { text: policy },
  'POST /v1/policy/check': { text: policy },
  'POST /v1/policy/diff': { text: policy },
  'POST /v1/policy/explain': {
    device: 'pump-7',
    action: 'publish',
    topic: 'devices/pump-7/telemetry',
    qos: 1,
  },
  'POST /v1/policy/test': { tests },
  'POST /v1/simulator/check': { plan },
  'POST /v1/simulator/runs': { plan },
  'POST /v1/sign-in/links': { operator: 'alice', ttlSeconds: 300 },
  'PUT /v1/operators/:name': { role: 'operator' },
  'POST /v1/keys': { name: 'ci', scopes: ['devices', 'enrollment'], ttlSeconds: 2_592_000 },
  'POST /v1/feed/report': { epoch: '6f0e', applied: 120 },
  'POST /v1/feed/answer': { id: 7, done: true, result: { connections: [], next: null } },
  'POST /v1/feed/sample': {
    run: '6f0e',
    version: '0.1.0',
    startedAtMs: 1_767_225_600_000,
    connections: 25,
    sessions: 25,
    subscriptions: 25,
    retained: 25,
    queuedMessages: 0,
    queuedBytes: 0,
    messagesIn: 1200,
    messagesOut: 1200,
    bytesIn: 96_000,
    bytesOut: 96_000,
    denied: 0,
    eventLoopLagMs: 0.4,
  },
};

interface Schema {
  readonly type?: string;
  readonly format?: string;
  readonly pattern?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly minimum?: number;
}

/** Values that say more than their type does. */
const named: Readonly<Record<string, unknown>> = {
  device: 'pump-7',
  id: 'pump-7',
  clientId: 'pump-7',
  broker: 'broker',
  operator: 'alice',
  actor: 'alice',
  name: 'alice',
  group: 'north',
  role: 'device',
  remoteAddress: '192.0.2.7',
  topic: 'devices/pump-7/telemetry',
  filter: 'devices/pump-7/#',
  reason: 'rule device/own topics allows devices/pump-7/#',
  next: null,
};

/** A value that a schema allows. */
export function exampleOf(schema: Schema, name = ''): unknown {
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum[0];
  const [choice] = schema.anyOf ?? schema.oneOf ?? [];
  if (name in named && (choice !== undefined || schema.type === 'string')) {
    const value = named[name];
    if (value !== null || choice !== undefined) return value;
  }
  if (choice !== undefined) return exampleOf(choice, name);
  switch (schema.type) {
    case 'string':
      return textExample(schema, name);
    case 'integer':
    case 'number':
      return Math.max(1, schema.minimum ?? 1);
    case 'boolean':
      return true;
    case 'array':
      return schema.items === undefined ? [] : [exampleOf(schema.items, name)];
    case 'object':
      return Object.fromEntries(
        Object.entries(schema.properties ?? {})
          .filter(([key]) => schema.required?.includes(key) === true)
          .map(([key, value]) => [key, exampleOf(value, key)]),
      );
    default:
      return null;
  }
}

function textExample({ format, pattern }: Schema, name: string): string {
  if (format === 'date-time') return '2026-01-31T12:00:00.000Z';
  if (pattern?.includes('sha256') === true) return fingerprint;
  return name === '' ? 'text' : name;
}
