/**
 * Names and groups of the API's operations, for the OpenAPI document, the generated client, and the
 * scopes of API keys. A test checks that every route has an entry and every entry a route.
 *
 * @module
 */

/** Groups of operations. An API key can be limited to some of them. */
export const operationTags = [
  'audit',
  'authorities',
  'brokers',
  'devices',
  'enrollment',
  'fleet',
  'messages',
  'operators',
  'policy',
  'service',
  'simulator',
] as const;
export type OperationTag = (typeof operationTags)[number];

export interface Operation {
  readonly operationId: string;
  readonly tag: OperationTag;
}

/** By method and path, as in `GET /v1/devices/:id`. */
export const operations: Readonly<Record<string, Operation>> = {
  ...group('audit', {
    'GET /v1/audit': 'queryAudit',
    'GET /v1/audit/verify': 'verifyAudit',
  }),
  ...group('authorities', {
    'GET /v1/ca': 'getCa',
    'GET /v1/device-servers': 'getDeviceServers',
    'GET /v1/ca/status': 'getCaStatus',
    'GET /v1/revocation-lists': 'listRevocationLists',
    'GET /v1/issuers': 'listIssuers',
    'POST /v1/issuers': 'addIssuer',
    'POST /v1/issuers/requests': 'requestIssuer',
    'POST /v1/issuers/import': 'importIssuer',
    'POST /v1/issuers/:fingerprint/withdraw': 'withdrawIssuer',
    'POST /v1/roots': 'rollOverRoot',
    'POST /v1/roots/import': 'importRoot',
    'POST /v1/roots/crl': 'signRootLists',
    'DELETE /v1/roots/:fingerprint': 'retireRoot',
    'DELETE /v1/issuers/:fingerprint': 'retireIssuer',
    'GET /v1/factories': 'listFactories',
    'POST /v1/factories': 'putFactory',
    'DELETE /v1/factories/:name': 'deleteFactory',
  }),
  ...group('brokers', {
    'GET /v1/brokers': 'listBrokers',
    'GET /v1/brokers/:broker/connections': 'listConnections',
    'GET /v1/brokers/:broker/sessions': 'listSessions',
    'GET /v1/brokers/:broker/session': 'getMqttSession',
    'POST /v1/feed/report': 'reportFeed',
    'POST /v1/feed/sample': 'reportSample',
    'POST /v1/feed/answer': 'answerQuery',
    'GET /v1/feed': 'followFeed',
  }),
  ...group('devices', {
    'GET /v1/devices': 'listDevices',
    'GET /v1/devices/:id': 'getDevice',
    'PATCH /v1/devices/:id': 'editDevice',
    'DELETE /v1/devices/:id': 'deleteDevice',
    'POST /v1/devices/:id/revoke': 'revokeDevice',
    'POST /v1/devices/:id/suspend': 'suspendDevice',
    'POST /v1/devices/:id/resume': 'resumeDevice',
    'GET /v1/devices/:id/history': 'getDeviceHistory',
    'GET /v1/devices/:id/connections': 'getDeviceConnections',
    'POST /v1/devices/:id/disconnect': 'disconnectDevice',
    'GET /v1/groups': 'listGroups',
    'POST /v1/groups/:group/revoke': 'revokeGroup',
    'POST /v1/devices/bulk': 'changeDevices',
    'POST /v1/devices/import': 'importDevices',
    'GET /v1/devices/export': 'exportDevices',
  }),
  ...group('enrollment', {
    'POST /v1/enroll': 'enroll',
    'POST /v1/renew': 'renew',
    'POST /v1/relay/renew': 'relayRenewal',
    'GET /v1/whoami': 'whoami',
    'GET /v1/renewal-info': 'getRenewalInfo',
    'GET /v1/tokens': 'listTokens',
    'POST /v1/tokens': 'createToken',
    'POST /v1/tokens/batch': 'createTokens',
    'POST /v1/tokens/group': 'createGroupToken',
    'DELETE /v1/tokens/:name': 'revokeToken',
    'GET /v1/requests': 'listRequests',
    'POST /v1/requests/:id/approve': 'approveRequest',
    'POST /v1/requests/:id/deny': 'denyRequest',
    'POST /v1/services': 'createService',
  }),
  ...group('fleet', {
    'GET /v1/stats': 'getStats',
    'GET /v1/metrics/history': 'getMetricsHistory',
    'GET /v1/events': 'followEvents',
    'GET /v1/status': 'getStatus',
  }),
  ...group('messages', {
    'GET /v1/messages/retained': 'listRetained',
    'POST /v1/messages': 'publishMessage',
    'POST /v1/devices/:id/commands': 'sendCommand',
    'GET /v1/messages/tail': 'tailMessages',
  }),
  ...group('devices', {
    'GET /v1/reconcile': 'getLostChanges',
    'POST /v1/reconcile': 'decideLostChanges',
  }),
  ...group('policy', {
    'GET /v1/policy': 'getPolicy',
    'GET /v1/policy/schema': 'getPolicySchema',
    'PUT /v1/policy': 'putPolicy',
    'POST /v1/policy/check': 'checkPolicy',
    'POST /v1/policy/explain': 'explainPolicy',
    'POST /v1/policy/test': 'testPolicy',
    'POST /v1/policy/diff': 'diffPolicy',
    'GET /v1/brokers/:broker/policy': 'getBrokerPolicy',
  }),
  ...group('simulator', {
    'GET /v1/simulator': 'getSimulator',
    'GET /v1/simulator/schema': 'getSimulationSchema',
    'POST /v1/simulator/check': 'checkSimulation',
    'POST /v1/simulator/runs': 'startSimulation',
    'POST /v1/simulator/runs/:id/stop': 'stopSimulation',
    'GET /v1/simulator/runs/:id': 'getSimulationReport',
    'DELETE /v1/simulator/runs/:id': 'deleteSimulation',
    'GET /v1/simulator/compare': 'compareSimulations',
  }),
  ...group('operators', {
    'GET /v1/sign-in': 'getSignInOptions',
    'POST /v1/sign-in/links': 'createSignInLink',
    'GET /v1/session': 'getSession',
    'DELETE /v1/session': 'signOut',
    'GET /v1/operators': 'listOperators',
    'PUT /v1/operators/:name': 'putOperator',
    'DELETE /v1/operators/:name': 'deleteOperator',
    'GET /v1/keys': 'listKeys',
    'POST /v1/keys': 'createKey',
    'DELETE /v1/keys/:id': 'deleteKey',
  }),
};

/** The entry of an operation; undefined for paths that are not part of the JSON API. */
export function operationOf(method: string, path: string): Operation | undefined {
  return operations[operationKey(method, path)];
}

function operationKey(method: string, path: string): string {
  return `${method} ${path}`;
}

function group(tag: OperationTag, names: Readonly<Record<string, string>>): typeof operations {
  return Object.fromEntries(
    Object.entries(names).map(([key, operationId]) => [key, { operationId, tag }]),
  );
}
