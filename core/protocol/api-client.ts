/**
 * The typed client of the JSON API. Generated from /v1/openapi.json by `npm run docs`: do not edit.
 *
 * It has no dependency, so that browsers can use it as well; the transport makes the calls.
 *
 * @module
 */

/** One call. */
export interface ApiCall {
  /** The operationId, which is also the name of the method below. */
  readonly operation: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With its query. */
  readonly path: string;
  readonly body?: object | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** Makes a call and gives the parsed body; rejects when the response is a problem document. */
export type ApiTransport = (call: ApiCall) => Promise<unknown>;

/** What each call takes beside its own options. */
interface CommonOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Ends the call early. */
  readonly signal?: AbortSignal;
}

type QueryValue = string | number | boolean | readonly string[] | undefined;

function sent({ headers, signal }: CommonOptions): Pick<ApiCall, 'headers' | 'signal'> {
  return {
    ...(headers === undefined ? {} : { headers }),
    ...(signal === undefined ? {} : { signal }),
  };
}

function pathOf(path: string, query: Readonly<Record<string, QueryValue>> | undefined): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined) parameters.append(name, String(one));
    }
  }
  const text = parameters.toString();
  return text === '' ? path : path + '?' + text;
}

export type QueryAuditResponse = {
  readonly lines: readonly {
    readonly seq: number;
    readonly at: string;
    readonly action: string;
    readonly actor: string;
    readonly device?: string | undefined;
    readonly remoteAddress?: string | undefined;
    readonly detail?: Readonly<Record<string, string | number | boolean | null>> | undefined;
    readonly hash: string;
  }[];
  readonly next: string | null;
};
export type VerifyAuditResponse = {
  readonly ok: boolean;
  readonly lines: number;
  readonly files: number;
  readonly detail: string;
  readonly head: { readonly seq: number; readonly hash: string } | null;
};
export type ListBrokersResponse = {
  readonly brokers: readonly {
    readonly broker: string;
    readonly connected: boolean;
    readonly since: string | null;
    readonly changesBehind: number;
    readonly lagBytes: number;
    readonly lastReportAt: string | null;
    readonly sample: {
      readonly at: string;
      readonly version: string;
      readonly startedAt: string;
      readonly connections: number;
      readonly sessions: number;
      readonly subscriptions: number;
      readonly retained: number;
      readonly queuedMessages: number;
      readonly queuedBytes: number;
      readonly messagesIn: number;
      readonly messagesOut: number;
      readonly bytesIn: number;
      readonly bytesOut: number;
      readonly denied: number;
      readonly eventLoopLagMs: number;
    } | null;
    readonly policy: {
      readonly source: 'file' | 'fleet' | 'default';
      readonly sha256: string;
      readonly fault?: string | undefined;
    } | null;
  }[];
};
export type ListConnectionsResponse = {
  readonly connections: readonly {
    readonly device: string;
    readonly clientId: string | null;
    readonly remoteAddress: string;
    readonly connectedAt: string;
    readonly protocolVersion: number | null;
    readonly tlsVersion: string;
    readonly tlsResumed: boolean;
    readonly role: string;
    readonly group: string | null;
    readonly standing: string;
    readonly serial: string;
    readonly certificateNotAfter: string;
    readonly keepAliveSeconds: number | null;
    readonly subscriptions: number;
    readonly queuedMessages: number;
    readonly queuedBytes: number;
    readonly inFlight: number;
  }[];
  readonly next: string | null;
};
export type GetBrokerPolicyResponse = {
  readonly source: 'file' | 'fleet' | 'default';
  readonly sha256: string;
  readonly fault?: string | undefined;
  readonly text: string;
};
export type GetMqttSessionResponse = {
  readonly clientId: string;
  readonly device: string;
  readonly connected: boolean;
  readonly protocolVersion: number;
  readonly expirySeconds: number | null;
  readonly subscriptions: number;
  readonly queuedMessages: number;
  readonly queuedBytes: number;
  readonly inFlight: number;
  readonly willTopic: string | null;
  readonly filters: readonly {
    readonly filter: string;
    readonly qos: 0 | 1 | 2;
    readonly noLocal: boolean;
    readonly retainAsPublished: boolean;
    readonly identifier: number | null;
  }[];
};
export type ListSessionsResponse = {
  readonly sessions: readonly {
    readonly clientId: string;
    readonly device: string;
    readonly connected: boolean;
    readonly protocolVersion: number;
    readonly expirySeconds: number | null;
    readonly subscriptions: number;
    readonly queuedMessages: number;
    readonly queuedBytes: number;
    readonly inFlight: number;
    readonly willTopic: string | null;
  }[];
  readonly next: string | null;
};
export type GetCaResponse = { readonly fingerprint: string; readonly ca: string };
export type GetCaStatusResponse = {
  readonly root: {
    readonly fingerprint: string;
    readonly name: string;
    readonly notBefore: string;
    readonly notAfter: string;
    readonly state: 'current' | 'next' | 'former';
    readonly key: 'file' | 'token' | 'elsewhere';
    readonly crlThisUpdate: string | null;
  };
  readonly roots: readonly {
    readonly fingerprint: string;
    readonly name: string;
    readonly notBefore: string;
    readonly notAfter: string;
    readonly state: 'current' | 'next' | 'former';
    readonly key: 'file' | 'token' | 'elsewhere';
    readonly crlThisUpdate: string | null;
  }[];
  readonly issuers: readonly {
    readonly fingerprint: string;
    readonly name: string;
    readonly notBefore: string;
    readonly notAfter: string;
    readonly purpose: 'all' | 'devices' | 'services' | 'device-servers';
    readonly current: boolean;
    readonly key: 'file' | 'token' | 'external';
    readonly root: string;
    readonly above: readonly string[];
  }[];
  readonly withdrawn: readonly {
    readonly fingerprint: string;
    readonly name: string;
    readonly notBefore: string;
    readonly notAfter: string;
    readonly onRootCrl: boolean;
  }[];
  readonly requests: readonly string[];
  readonly ok: boolean;
  readonly checks: readonly {
    readonly name: string;
    readonly ok: boolean;
    readonly detail: string;
  }[];
};
export type GetDeviceServersResponse = { readonly fingerprint: string; readonly ca: string };
export type ListDevicesResponse = {
  readonly devices: readonly {
    readonly id: string;
    readonly kind?: string | undefined;
    readonly role: string;
    readonly status: 'pending' | 'active' | 'suspended' | 'revoked' | 'quarantined';
    readonly group: string | null;
    readonly attributes: Readonly<Record<string, string>>;
    readonly certificates: readonly {
      readonly serial: string;
      readonly notBefore: string;
      readonly notAfter: string;
      readonly status: 'active' | 'revoked' | 'retired' | 'expired' | 'withdrawn';
      readonly fingerprint: string;
      readonly names?: readonly string[] | undefined;
      readonly seenAt?: string | undefined;
    }[];
    readonly connected: boolean;
    readonly brokers?: readonly string[] | undefined;
    readonly lastSeenAt: string | null;
    readonly createdAt?: string | undefined;
    readonly denied?:
      | {
          readonly count: number;
          readonly last: readonly {
            readonly at: string;
            readonly action: string;
            readonly topic: string;
            readonly code: string;
          }[];
        }
      | undefined;
  }[];
  readonly next: string | null;
  readonly total?: number | undefined;
};
export type ChangeDevicesResponse = {
  readonly dryRun: boolean;
  readonly matched: number;
  readonly sample: readonly string[];
  readonly changed: number;
  readonly failed: number;
  readonly failures: readonly { readonly id: string; readonly code: string }[];
  readonly connectionsClosed: number;
  readonly brokersLate: number;
  readonly brokers?: number | undefined;
  readonly brokersUnconfirmed?: readonly string[] | undefined;
  readonly brokersAbsent?: readonly string[] | undefined;
};
export type ChangeDevicesRequest = {
  readonly filter: {
    readonly ids?: readonly string[] | undefined;
    readonly search?: string | undefined;
    readonly online?: boolean | undefined;
    readonly prefix?: string | undefined;
    readonly group?: string | undefined;
    readonly role?: string | undefined;
    readonly status?: 'pending' | 'active' | 'suspended' | 'revoked' | 'quarantined' | undefined;
    readonly attributes?: Readonly<Record<string, string>> | undefined;
    readonly expiresWithinSeconds?: number | undefined;
  };
  readonly action: 'suspend' | 'resume' | 'revoke' | 'delete' | 'edit';
  readonly dryRun?: boolean | undefined;
  readonly expected?: number | undefined;
  readonly reason?:
    | 'unspecified'
    | 'keyCompromise'
    | 'affiliationChanged'
    | 'superseded'
    | 'cessationOfOperation'
    | 'privilegeWithdrawn'
    | undefined;
  readonly edit?:
    | {
        readonly group?: string | null | undefined;
        readonly role?: string | null | undefined;
        readonly attributes?: Readonly<Record<string, string | null>> | undefined;
      }
    | undefined;
};
export type GetDeviceResponse = {
  readonly id: string;
  readonly kind?: string | undefined;
  readonly role: string;
  readonly status: 'pending' | 'active' | 'suspended' | 'revoked' | 'quarantined';
  readonly group: string | null;
  readonly attributes: Readonly<Record<string, string>>;
  readonly certificates: readonly {
    readonly serial: string;
    readonly notBefore: string;
    readonly notAfter: string;
    readonly status: 'active' | 'revoked' | 'retired' | 'expired' | 'withdrawn';
    readonly fingerprint: string;
    readonly names?: readonly string[] | undefined;
    readonly seenAt?: string | undefined;
  }[];
  readonly connected: boolean;
  readonly brokers?: readonly string[] | undefined;
  readonly lastSeenAt: string | null;
  readonly createdAt?: string | undefined;
  readonly denied?:
    | {
        readonly count: number;
        readonly last: readonly {
          readonly at: string;
          readonly action: string;
          readonly topic: string;
          readonly code: string;
        }[];
      }
    | undefined;
};
export type EditDeviceResponse = {
  readonly id: string;
  readonly kind?: string | undefined;
  readonly role: string;
  readonly status: 'pending' | 'active' | 'suspended' | 'revoked' | 'quarantined';
  readonly group: string | null;
  readonly attributes: Readonly<Record<string, string>>;
  readonly certificates: readonly {
    readonly serial: string;
    readonly notBefore: string;
    readonly notAfter: string;
    readonly status: 'active' | 'revoked' | 'retired' | 'expired' | 'withdrawn';
    readonly fingerprint: string;
    readonly names?: readonly string[] | undefined;
    readonly seenAt?: string | undefined;
  }[];
  readonly connected: boolean;
  readonly brokers?: readonly string[] | undefined;
  readonly lastSeenAt: string | null;
  readonly createdAt?: string | undefined;
  readonly denied?:
    | {
        readonly count: number;
        readonly last: readonly {
          readonly at: string;
          readonly action: string;
          readonly topic: string;
          readonly code: string;
        }[];
      }
    | undefined;
};
export type EditDeviceRequest = {
  readonly group?: string | null | undefined;
  readonly role?: string | null | undefined;
  readonly attributes?: Readonly<Record<string, string | null>> | undefined;
};
export type DeleteDeviceResponse = {
  readonly id: string;
  readonly serials: readonly string[];
  readonly connectionsClosed: number;
  readonly elapsedMs: number;
  readonly brokers?: number | undefined;
  readonly brokersLate?: number | undefined;
  readonly brokersUnconfirmed?: readonly string[] | undefined;
  readonly brokersAbsent?: readonly string[] | undefined;
  readonly crlNumber?: number | undefined;
  readonly deleted: true;
};
export type SendCommandResponse = {
  readonly reply: {
    readonly topic: string;
    readonly payload: string;
    readonly encoding: 'utf8' | 'base64';
    readonly bytes: number;
    readonly truncated: boolean;
    readonly qos: 0 | 1 | 2;
    readonly retain: boolean;
    readonly at: string;
    readonly publisher: string | null;
    readonly correlationData?: string | undefined;
  } | null;
  readonly matchedBy: ('correlation' | 'topic') | null;
  readonly afterMs: number;
  readonly broker: string;
  readonly topic: string;
  readonly responseTopic: string;
  readonly connected: boolean;
};
export type SendCommandRequest = {
  readonly name: string;
  readonly payload?: string | undefined;
  readonly encoding?: 'utf8' | 'base64' | undefined;
  readonly qos?: 0 | 1 | 2 | undefined;
  readonly waitSeconds?: number | undefined;
};
export type GetDeviceConnectionsResponse = {
  readonly connections: readonly {
    readonly device: string;
    readonly clientId: string | null;
    readonly remoteAddress: string;
    readonly connectedAt: string;
    readonly protocolVersion: number | null;
    readonly tlsVersion: string;
    readonly tlsResumed: boolean;
    readonly role: string;
    readonly group: string | null;
    readonly standing: string;
    readonly serial: string;
    readonly certificateNotAfter: string;
    readonly keepAliveSeconds: number | null;
    readonly subscriptions: number;
    readonly queuedMessages: number;
    readonly queuedBytes: number;
    readonly inFlight: number;
    readonly broker: string;
  }[];
};
export type DisconnectDeviceResponse = { readonly connectionsClosed: number };
export type DisconnectDeviceRequest = { readonly clientId?: string | undefined };
export type GetDeviceHistoryResponse = {
  readonly entries: readonly {
    readonly at: string;
    readonly kind:
      | 'issued'
      | 'renewed'
      | 'seen'
      | 'retired'
      | 'revoked'
      | 'suspended'
      | 'resumed'
      | 'changed'
      | 'refused'
      | 'denied'
      | 'incident'
      | 'connected'
      | 'disconnected'
      | 'other';
    readonly action?: string | undefined;
    readonly actor?: string | undefined;
    readonly remoteAddress?: string | undefined;
    readonly detail: Readonly<Record<string, string | number | boolean | null>>;
  }[];
  readonly next: string | null;
};
export type ResumeDeviceResponse = {
  readonly id: string;
  readonly kind?: string | undefined;
  readonly role: string;
  readonly status: 'pending' | 'active' | 'suspended' | 'revoked' | 'quarantined';
  readonly group: string | null;
  readonly attributes: Readonly<Record<string, string>>;
  readonly certificates: readonly {
    readonly serial: string;
    readonly notBefore: string;
    readonly notAfter: string;
    readonly status: 'active' | 'revoked' | 'retired' | 'expired' | 'withdrawn';
    readonly fingerprint: string;
    readonly names?: readonly string[] | undefined;
    readonly seenAt?: string | undefined;
  }[];
  readonly connected: boolean;
  readonly brokers?: readonly string[] | undefined;
  readonly lastSeenAt: string | null;
  readonly createdAt?: string | undefined;
  readonly denied?:
    | {
        readonly count: number;
        readonly last: readonly {
          readonly at: string;
          readonly action: string;
          readonly topic: string;
          readonly code: string;
        }[];
      }
    | undefined;
};
export type ResumeDeviceRequest = Readonly<Record<string, never>>;
export type RevokeDeviceResponse = {
  readonly id: string;
  readonly serials: readonly string[];
  readonly connectionsClosed: number;
  readonly elapsedMs: number;
  readonly brokers?: number | undefined;
  readonly brokersLate?: number | undefined;
  readonly brokersUnconfirmed?: readonly string[] | undefined;
  readonly brokersAbsent?: readonly string[] | undefined;
  readonly crlNumber?: number | undefined;
};
export type RevokeDeviceRequest = {
  readonly reason?:
    | 'unspecified'
    | 'keyCompromise'
    | 'affiliationChanged'
    | 'superseded'
    | 'cessationOfOperation'
    | 'privilegeWithdrawn'
    | undefined;
};
export type SuspendDeviceResponse = {
  readonly id: string;
  readonly kind?: string | undefined;
  readonly role: string;
  readonly status: 'pending' | 'active' | 'suspended' | 'revoked' | 'quarantined';
  readonly group: string | null;
  readonly attributes: Readonly<Record<string, string>>;
  readonly certificates: readonly {
    readonly serial: string;
    readonly notBefore: string;
    readonly notAfter: string;
    readonly status: 'active' | 'revoked' | 'retired' | 'expired' | 'withdrawn';
    readonly fingerprint: string;
    readonly names?: readonly string[] | undefined;
    readonly seenAt?: string | undefined;
  }[];
  readonly connected: boolean;
  readonly brokers?: readonly string[] | undefined;
  readonly lastSeenAt: string | null;
  readonly createdAt?: string | undefined;
  readonly denied?:
    | {
        readonly count: number;
        readonly last: readonly {
          readonly at: string;
          readonly action: string;
          readonly topic: string;
          readonly code: string;
        }[];
      }
    | undefined;
  readonly connectionsClosed?: number | undefined;
  readonly brokersAsked?: number | undefined;
  readonly brokersUnconfirmed?: readonly string[] | undefined;
  readonly brokersAbsent?: readonly string[] | undefined;
};
export type SuspendDeviceRequest = Readonly<Record<string, never>>;
export type EnrollResponse =
  | {
      readonly device: string;
      readonly serial: string;
      readonly fingerprint: string;
      readonly notBefore: string;
      readonly notAfter: string;
      readonly certificate: string;
      readonly chain: string;
      readonly ca: string;
      readonly renewAt?: string | undefined;
    }
  | {
      readonly status: 'pending';
      readonly request: string;
      readonly device: string;
      readonly retryAfterSeconds: number;
    };
export type EnrollRequest = { readonly device: string; readonly csr: string };
export type ListFactoriesResponse = {
  readonly factories: readonly {
    readonly name: string;
    readonly fingerprint: string;
    readonly notAfter: string;
    readonly group: string | null;
    readonly role?: string | null | undefined;
    readonly profile: string | null;
    readonly allowed: number | null;
    readonly deviceId: string;
    readonly approval: boolean;
    readonly takesOver: boolean;
  }[];
};
export type PutFactoryResponse = {
  readonly name: string;
  readonly fingerprint: string;
  readonly notAfter: string;
  readonly group: string | null;
  readonly role?: string | null | undefined;
  readonly profile: string | null;
  readonly allowed: number | null;
  readonly deviceId: string;
  readonly approval: boolean;
  readonly takesOver: boolean;
};
export type PutFactoryRequest = {
  readonly name: string;
  readonly certificate: string;
  readonly group?: string | undefined;
  readonly role?: string | undefined;
  readonly profile?: string | undefined;
  readonly allowed?: readonly string[] | undefined;
  readonly deviceId?: string | undefined;
  readonly approval?: boolean | undefined;
  readonly takesOver?: boolean | undefined;
};
export type ListGroupsResponse = {
  readonly groups: readonly { readonly group: string | null; readonly count: number }[];
};
export type RevokeGroupResponse = {
  readonly group: string;
  readonly devices: readonly string[];
  readonly serials: readonly string[];
  readonly connectionsClosed: number;
  readonly elapsedMs: number;
  readonly brokers?: number | undefined;
  readonly brokersLate?: number | undefined;
  readonly brokersUnconfirmed?: readonly string[] | undefined;
  readonly brokersAbsent?: readonly string[] | undefined;
  readonly crlNumber?: number | undefined;
};
export type RevokeGroupRequest = {
  readonly reason?:
    | 'unspecified'
    | 'keyCompromise'
    | 'affiliationChanged'
    | 'superseded'
    | 'cessationOfOperation'
    | 'privilegeWithdrawn'
    | undefined;
};
export type ListIssuersResponse = {
  readonly issuers: readonly {
    readonly fingerprint: string;
    readonly name: string;
    readonly current: boolean;
    readonly purpose?: 'all' | 'devices' | 'services' | 'device-servers' | undefined;
    readonly notAfter: string;
  }[];
};
export type AddIssuerResponse = {
  readonly fingerprint: string;
  readonly name: string;
  readonly current: boolean;
  readonly purpose?: 'all' | 'devices' | 'services' | 'device-servers' | undefined;
  readonly notAfter: string;
};
export type AddIssuerRequest = {
  readonly purpose?: 'devices' | 'services' | 'device-servers' | undefined;
};
export type ImportIssuerResponse = {
  readonly fingerprint: string;
  readonly name: string;
  readonly current: boolean;
  readonly purpose?: 'all' | 'devices' | 'services' | 'device-servers' | undefined;
  readonly notAfter: string;
};
export type ImportIssuerRequest = {
  readonly chain: string;
  readonly external?: boolean | undefined;
};
export type RequestIssuerResponse = { readonly key: string; readonly csr: string };
export type RequestIssuerRequest = { readonly purpose?: 'devices' | 'services' | undefined };
export type WithdrawIssuerResponse = {
  readonly fingerprint: string;
  readonly replacements: readonly string[];
  readonly certificates: number;
  readonly connectionsClosed: number;
  readonly brokers: number;
  readonly brokersLate: number;
  readonly brokersAbsent?: readonly string[] | undefined;
  readonly onRootCrl: boolean;
  readonly elapsedMs: number;
};
export type WithdrawIssuerRequest = { readonly compromised: true };
export type ListKeysResponse = {
  readonly keys: readonly {
    readonly id: string;
    readonly name: string;
    readonly operator: string;
    readonly role: 'viewer' | 'operator' | 'admin';
    readonly scopes: readonly string[] | null;
    readonly createdAt: string;
    readonly expiresAt: string;
  }[];
};
export type CreateKeyResponse = {
  readonly id: string;
  readonly name: string;
  readonly operator: string;
  readonly role: 'viewer' | 'operator' | 'admin';
  readonly scopes: readonly string[] | null;
  readonly createdAt: string;
  readonly expiresAt: string;
  readonly key: string;
};
export type CreateKeyRequest = {
  readonly name: string;
  readonly operator?: string | undefined;
  readonly role?: 'viewer' | 'operator' | 'admin' | undefined;
  readonly scopes?: readonly string[] | undefined;
  readonly ttlSeconds?: number | undefined;
};
export type PublishMessageResponse = { readonly published: true; readonly broker: string };
export type PublishMessageRequest = {
  readonly topic: string;
  readonly payload: string;
  readonly encoding?: 'utf8' | 'base64' | undefined;
  readonly qos?: 0 | 1 | 2 | undefined;
  readonly retain?: boolean | undefined;
  readonly broker?: string | undefined;
};
export type ListRetainedResponse = {
  readonly messages: readonly {
    readonly topic: string;
    readonly payload: string;
    readonly encoding: 'utf8' | 'base64';
    readonly bytes: number;
    readonly truncated: boolean;
    readonly qos: 0 | 1 | 2;
    readonly retain: boolean;
    readonly at: string;
    readonly publisher: string | null;
    readonly correlationData?: string | undefined;
  }[];
  readonly next: string | null;
  readonly complete: boolean;
};
export type GetMetricsHistoryResponse = {
  readonly stepMs: number;
  readonly points: readonly {
    readonly at: string;
    readonly connections: number;
    readonly sessions: number;
    readonly queuedMessages: number;
    readonly messagesInPerSecond: number;
    readonly messagesOutPerSecond: number;
    readonly bytesInPerSecond: number;
    readonly bytesOutPerSecond: number;
    readonly deniedPerSecond: number;
    readonly eventLoopLagMs: number;
  }[];
};
export type ListOperatorsResponse = {
  readonly operators: readonly {
    readonly name: string;
    readonly role: 'viewer' | 'operator' | 'admin';
    readonly disabled: boolean;
    readonly createdAt: string;
    readonly createdBy: string;
    readonly keys: number;
  }[];
};
export type PutOperatorResponse = {
  readonly name: string;
  readonly role: 'viewer' | 'operator' | 'admin';
  readonly disabled: boolean;
  readonly createdAt: string;
  readonly createdBy: string;
  readonly keys: number;
};
export type PutOperatorRequest = {
  readonly role: 'viewer' | 'operator' | 'admin';
  readonly disabled?: boolean | undefined;
};
export type GetPolicyResponse = {
  readonly text: string;
  readonly sha256: string;
  readonly source: 'fleet' | 'default';
  readonly updatedAt: string | null;
  readonly updatedBy: string | null;
  readonly brokers: readonly {
    readonly source: 'file' | 'fleet' | 'default';
    readonly sha256: string;
    readonly fault?: string | undefined;
    readonly broker: string;
    readonly isCurrent: boolean;
  }[];
};
export type PutPolicyResponse = {
  readonly text: string;
  readonly sha256: string;
  readonly source: 'fleet' | 'default';
  readonly updatedAt: string | null;
  readonly updatedBy: string | null;
  readonly brokers: readonly {
    readonly source: 'file' | 'fleet' | 'default';
    readonly sha256: string;
    readonly fault?: string | undefined;
    readonly broker: string;
    readonly isCurrent: boolean;
  }[];
};
export type PutPolicyRequest = { readonly text: string };
export type CheckPolicyResponse = {
  readonly ok: boolean;
  readonly roles: readonly { readonly name: string; readonly rules: number }[];
  readonly error: {
    readonly detail: string;
    readonly line: number | null;
    readonly column: number | null;
  } | null;
};
export type CheckPolicyRequest = { readonly text: string };
export type DiffPolicyResponse = {
  readonly brokers: readonly {
    readonly lost: readonly {
      readonly device: string;
      readonly clientId: string;
      readonly filter: string;
      readonly rule: string | null;
    }[];
    readonly total: number;
    readonly subscriptions: number;
    readonly broker: string;
  }[];
};
export type DiffPolicyRequest = { readonly text: string };
export type ExplainPolicyResponse = {
  readonly allowed: boolean;
  readonly code: string | null;
  readonly rule: string | null;
  readonly expansion: string | null;
  readonly reason: string;
  readonly nearest: { readonly rule: string; readonly because: string } | null;
};
export type ExplainPolicyRequest = {
  readonly text?: string | undefined;
  readonly device: string;
  readonly role?: string | undefined;
  readonly group?: string | undefined;
  readonly attributes?: Readonly<Record<string, string>> | undefined;
  readonly address?: string | undefined;
  readonly action: 'connect' | 'publish' | 'subscribe' | 'receive';
  readonly topic: string;
  readonly qos?: 0 | 1 | 2 | undefined;
  readonly retain?: boolean | undefined;
  readonly payloadBytes?: number | undefined;
};
export type GetPolicySchemaResponse = Readonly<Record<string, unknown>>;
export type TestPolicyResponse = {
  readonly passed: number;
  readonly failures: readonly string[];
  readonly cases: readonly {
    readonly device: string;
    readonly role: string;
    readonly group: string | null;
    readonly attributes: Readonly<Record<string, string>>;
    readonly address: string | null;
    readonly standing: 'full' | 'renewal-only' | 'quarantined';
    readonly action: 'publish' | 'subscribe' | 'receive' | 'connect';
    readonly topic: string;
    readonly qos: number | null;
    readonly retain: boolean | null;
    readonly payloadBytes: number | null;
    readonly expected: boolean;
    readonly allowed: boolean;
    readonly reason: string;
  }[];
};
export type TestPolicyRequest = { readonly text?: string | undefined; readonly tests: string };
export type GetLostChangesResponse = {
  readonly brokers: readonly {
    readonly broker: string;
    readonly commit: number;
    readonly since: string;
  }[];
  readonly differences: readonly {
    readonly device: string;
    readonly action:
      'revoke' | 'suspend' | 'quarantine' | 'delete' | 'revoke-certificates' | 'adopt' | 'manual';
    readonly serials: readonly string[];
    readonly sources: readonly string[];
  }[];
  readonly total: number;
  readonly brokersAbsent: readonly string[];
};
export type DecideLostChangesResponse = {
  readonly applied: number;
  readonly skipped: number;
  readonly left: readonly {
    readonly device: string;
    readonly action:
      'revoke' | 'suspend' | 'quarantine' | 'delete' | 'revoke-certificates' | 'adopt' | 'manual';
    readonly serials: readonly string[];
    readonly sources: readonly string[];
  }[];
  readonly failures: readonly { readonly device: string; readonly code: string }[];
  readonly brokers: readonly string[];
};
export type DecideLostChangesRequest = {
  readonly action: 'apply' | 'discard';
  readonly adopt?: boolean | undefined;
  readonly expected: number;
};
export type RenewResponse = {
  readonly device: string;
  readonly serial: string;
  readonly fingerprint: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly certificate: string;
  readonly chain: string;
  readonly ca: string;
  readonly renewAt?: string | undefined;
};
export type RenewRequest = { readonly csr: string };
export type GetRenewalInfoResponse = {
  readonly device: string;
  readonly serial: string;
  readonly renewAt: string;
  readonly renewInSeconds: number;
  readonly reason: 'lifetime' | 'issuer-ending' | 'issuer-withdrawn';
  readonly retryAfterSeconds: number;
};
export type ListRequestsResponse = {
  readonly requests: readonly {
    readonly id: string;
    readonly device: string;
    readonly fingerprint: string;
    readonly remoteAddress: string;
    readonly receivedAt: string;
    readonly expiresAt: string;
    readonly status: 'pending' | 'approved' | 'denied';
    readonly profile: string | null;
    readonly factory: string | null;
  }[];
};
export type ApproveRequestResponse = {
  readonly id: string;
  readonly device: string;
  readonly fingerprint: string;
  readonly remoteAddress: string;
  readonly receivedAt: string;
  readonly expiresAt: string;
  readonly status: 'pending' | 'approved' | 'denied';
  readonly profile: string | null;
  readonly factory: string | null;
};
export type ApproveRequestRequest = {
  readonly group?: string | undefined;
  readonly role?: string | undefined;
};
export type DenyRequestResponse = {
  readonly id: string;
  readonly device: string;
  readonly fingerprint: string;
  readonly remoteAddress: string;
  readonly receivedAt: string;
  readonly expiresAt: string;
  readonly status: 'pending' | 'approved' | 'denied';
  readonly profile: string | null;
  readonly factory: string | null;
};
export type DenyRequestRequest = Readonly<Record<string, never>>;
export type ListRevocationListsResponse = {
  readonly lists: readonly {
    readonly fingerprint: string;
    readonly name: string;
    readonly isRoot: boolean;
    readonly path: string;
    readonly bytes: number;
    readonly nextUpdate: string;
  }[];
};
export type RollOverRootResponse = {
  readonly fingerprint: string;
  readonly name: string;
  readonly notAfter: string;
};
export type RollOverRootRequest = Readonly<Record<string, never>>;
export type SignRootListsResponse = { readonly signed: number };
export type SignRootListsRequest = Readonly<Record<string, never>>;
export type ImportRootResponse = {
  readonly fingerprint: string;
  readonly name: string;
  readonly notAfter: string;
};
export type ImportRootRequest = {
  readonly certificate: string;
  readonly cross?: string | undefined;
};
export type CreateServiceResponse = {
  readonly device: string;
  readonly serial: string;
  readonly fingerprint: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly certificate: string;
  readonly chain: string;
  readonly ca: string;
  readonly renewAt?: string | undefined;
};
export type CreateServiceRequest = {
  readonly name: string;
  readonly role: 'service' | 'admin' | 'broker' | 'server';
  readonly policyRole?: string | undefined;
  readonly csr: string;
  readonly names?: readonly string[] | undefined;
};
export type GetSessionResponse = {
  readonly operator: string;
  readonly role: 'viewer' | 'operator' | 'admin';
  readonly via: 'certificate' | 'key' | 'session';
  readonly csrf: string | null;
  readonly scopes: readonly string[] | null;
  readonly expiresAt: string | null;
};
export type GetSignInOptionsResponse = { readonly oidc: { readonly label: string } | null };
export type CreateSignInLinkResponse = {
  readonly url: string;
  readonly operator: string;
  readonly expiresAt: string;
};
export type CreateSignInLinkRequest = {
  readonly operator?: string | undefined;
  readonly ttlSeconds?: number | undefined;
};
export type GetSimulatorResponse = {
  readonly available: boolean;
  readonly devicesMax: number;
  readonly samples: readonly {
    readonly name: string;
    readonly description: string;
    readonly plan: string;
  }[];
  readonly runs: readonly {
    readonly id: string;
    readonly plan: string;
    readonly devices: number;
    readonly startedAt: string;
    readonly startedBy: string;
    readonly endedAt: string | null;
    readonly outcome: 'running' | 'passed' | 'failed' | 'stopped' | 'error';
    readonly failure: string | null;
    readonly hasReport: boolean;
  }[];
  readonly live: {
    readonly id: string;
    readonly progress: {
      readonly atMs: number;
      readonly phases: readonly {
        readonly name: string;
        readonly sinceMs: number;
        readonly ofMs: number | null;
      }[];
      readonly planned: number;
      readonly states: Readonly<Record<string, number>>;
      readonly totals: {
        readonly enrolled: number;
        readonly published: number;
        readonly acknowledged: number;
        readonly delivered: number;
        readonly duplicated: number;
        readonly misdelivered: number;
      };
      readonly errors: Readonly<Record<string, number>>;
      readonly point: {
        readonly atMs: number;
        readonly online: number;
        readonly publishedPerSecond: number;
        readonly deliveredPerSecond: number;
        readonly endToEndP50Ms: number | null;
        readonly endToEndP99Ms: number | null;
      } | null;
    } | null;
    readonly points: readonly {
      readonly atMs: number;
      readonly online: number;
      readonly publishedPerSecond: number;
      readonly deliveredPerSecond: number;
      readonly endToEndP50Ms: number | null;
      readonly endToEndP99Ms: number | null;
    }[];
  } | null;
};
export type CheckSimulationResponse = {
  readonly ok: boolean;
  readonly name: string | null;
  readonly devices: number;
  readonly phases: readonly string[];
  readonly error: {
    readonly detail: string;
    readonly line: number | null;
    readonly column: number | null;
  } | null;
};
export type CheckSimulationRequest = { readonly plan: string };
export type CompareSimulationsResponse = {
  readonly a: {
    readonly plan: string;
    readonly seed: string;
    readonly startedAt: string;
    readonly ok: boolean;
  };
  readonly b: {
    readonly plan: string;
    readonly seed: string;
    readonly startedAt: string;
    readonly ok: boolean;
  };
  readonly warnings: readonly string[];
  readonly figures: readonly {
    readonly name: string;
    readonly a: number | null;
    readonly b: number | null;
    readonly changePercent: number | null;
    readonly verdict: 'better' | 'worse' | 'same' | 'unknown';
  }[];
};
export type StartSimulationResponse = {
  readonly id: string;
  readonly plan: string;
  readonly devices: number;
  readonly startedAt: string;
  readonly startedBy: string;
  readonly endedAt: string | null;
  readonly outcome: 'running' | 'passed' | 'failed' | 'stopped' | 'error';
  readonly failure: string | null;
  readonly hasReport: boolean;
};
export type StartSimulationRequest = { readonly plan: string };
export type GetSimulationReportResponse = {
  readonly run: {
    readonly id: string;
    readonly plan: string;
    readonly devices: number;
    readonly startedAt: string;
    readonly startedBy: string;
    readonly endedAt: string | null;
    readonly outcome: 'running' | 'passed' | 'failed' | 'stopped' | 'error';
    readonly failure: string | null;
    readonly hasReport: boolean;
  };
  readonly report: {
    readonly seed: string;
    readonly durationMs: number;
    readonly ok: boolean;
    readonly failure: string | null;
    readonly devices: {
      readonly planned: number;
      readonly enrolled: number;
      readonly connected: number;
      readonly failed: number;
    };
    readonly messages: {
      readonly published: number;
      readonly acknowledged: number;
      readonly expected: number;
      readonly delivered: number;
      readonly lost: number;
      readonly duplicated: number;
      readonly misdelivered: number;
    };
    readonly latencyMs: Readonly<
      Record<
        string,
        {
          readonly p50: number;
          readonly p95: number;
          readonly p99: number;
          readonly max: number;
          readonly count: number;
        }
      >
    >;
    readonly rates: {
      readonly enrollPerSecond: number;
      readonly connectPerSecond: number;
      readonly publishPerSecond: number;
    };
    readonly phases: readonly {
      readonly name: string;
      readonly durationMs: number;
      readonly ok: boolean;
      readonly verdict: ('pass' | 'fail') | null;
      readonly evidence: readonly string[];
    }[];
    readonly thresholds: readonly {
      readonly name: string;
      readonly limit: string;
      readonly value: number | null;
      readonly ok: boolean;
    }[];
    readonly simulator: { readonly valid: boolean; readonly invalidBecause: readonly string[] };
    readonly errors: Readonly<Record<string, number>>;
    readonly notes: readonly string[];
  };
};
export type StopSimulationResponse = {
  readonly id: string;
  readonly plan: string;
  readonly devices: number;
  readonly startedAt: string;
  readonly startedBy: string;
  readonly endedAt: string | null;
  readonly outcome: 'running' | 'passed' | 'failed' | 'stopped' | 'error';
  readonly failure: string | null;
  readonly hasReport: boolean;
};
export type GetSimulationSchemaResponse = Readonly<Record<string, unknown>>;
export type GetStatsResponse = {
  readonly at: string;
  readonly devices: {
    readonly total: number;
    readonly connected: number;
    readonly byStatus: {
      readonly pending: number;
      readonly active: number;
      readonly suspended: number;
      readonly revoked: number;
      readonly quarantined: number;
    };
  };
  readonly services: number;
  readonly certificates: {
    readonly ended: number;
    readonly days1: number;
    readonly days7: number;
    readonly days30: number;
    readonly days90: number;
    readonly later: number;
    readonly none: number;
  };
  readonly lastHour: {
    readonly enrollments: number;
    readonly renewals: number;
    readonly refusals: number;
    readonly denials: number;
  };
  readonly requestsPending: number;
  readonly brokers: readonly {
    readonly broker: string;
    readonly connected: boolean;
    readonly since: string | null;
    readonly changesBehind: number;
    readonly lagBytes: number;
    readonly lastReportAt: string | null;
    readonly sample: {
      readonly at: string;
      readonly version: string;
      readonly startedAt: string;
      readonly connections: number;
      readonly sessions: number;
      readonly subscriptions: number;
      readonly retained: number;
      readonly queuedMessages: number;
      readonly queuedBytes: number;
      readonly messagesIn: number;
      readonly messagesOut: number;
      readonly bytesIn: number;
      readonly bytesOut: number;
      readonly denied: number;
      readonly eventLoopLagMs: number;
    } | null;
    readonly policy: {
      readonly source: 'file' | 'fleet' | 'default';
      readonly sha256: string;
      readonly fault?: string | undefined;
    } | null;
  }[];
};
export type GetStatusResponse = {
  readonly ok: boolean;
  readonly checks: readonly {
    readonly name: string;
    readonly ok: boolean;
    readonly detail: string;
  }[];
};
export type CreateTokenResponse = {
  readonly token: string;
  readonly reference?: string | undefined;
  readonly device: string;
  readonly group: string | null;
  readonly role?: string | null | undefined;
  readonly expiresAt: string;
  readonly url: string;
  readonly fingerprint: string;
  readonly command: string;
};
export type CreateTokenRequest = {
  readonly device: string;
  readonly group?: string | undefined;
  readonly role?: string | undefined;
  readonly profile?: string | undefined;
  readonly ttlSeconds?: number | undefined;
  readonly uses?: number | undefined;
  readonly cmp?: boolean | undefined;
};
export type ListTokensResponse = {
  readonly tokens: readonly {
    readonly name: string;
    readonly device: string | null;
    readonly group: string | null;
    readonly role?: string | null | undefined;
    readonly profile: string | null;
    readonly uses: number;
    readonly usesMax: number;
    readonly createdAt: string;
    readonly expiresAt: string;
    readonly status: 'active' | 'used' | 'expired';
  }[];
  readonly next: string | null;
};
export type CreateTokensResponse = {
  readonly tokens: readonly {
    readonly token: string;
    readonly reference?: string | undefined;
    readonly device: string;
    readonly group: string | null;
    readonly role?: string | null | undefined;
    readonly expiresAt: string;
    readonly url: string;
    readonly fingerprint: string;
    readonly command: string;
  }[];
};
export type CreateTokensRequest = {
  readonly devices: readonly string[];
  readonly group?: string | undefined;
  readonly role?: string | undefined;
  readonly ttlSeconds?: number | undefined;
};
export type CreateGroupTokenResponse = {
  readonly token: string;
  readonly reference?: string | undefined;
  readonly name: string;
  readonly group: string;
  readonly uses: number;
  readonly expiresAt: string;
  readonly url: string;
  readonly fingerprint: string;
};
export type CreateGroupTokenRequest = {
  readonly group: string;
  readonly role?: string | undefined;
  readonly profile?: string | undefined;
  readonly ttlSeconds?: number | undefined;
  readonly uses: number;
  readonly reenrolls?: boolean | undefined;
  readonly cmp?: boolean | undefined;
};
export type WhoamiResponse = {
  readonly id: string;
  readonly role: string;
  readonly serial: string;
  readonly status: string;
  readonly notAfter: string;
};

/** Each operation as a method. */
export class ApiClient {
  readonly #call: ApiTransport;

  constructor(transport: ApiTransport) {
    this.#call = transport;
  }

  /** Lines of the audit log, newest first, filtered, by page. Needs: viewer. `GET /v1/audit` */
  async queryAudit(
    options: CommonOptions & {
      readonly query?: {
        readonly device?: string | undefined;
        readonly actor?: string | undefined;
        readonly action?: string | undefined;
        readonly since?: string | undefined;
        readonly until?: string | undefined;
        readonly limit?: number | undefined;
        readonly after?: string | undefined;
      };
    } = {},
  ): Promise<QueryAuditResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'queryAudit',
      method: 'GET',
      path: pathOf(`/v1/audit`, options.query),
      ...sent(options),
    })) as QueryAuditResponse;
  }

  /** Checks that no line of the audit log was changed, removed or inserted. Needs: viewer. `GET /v1/audit/verify` */
  async verifyAudit(options: CommonOptions & {} = {}): Promise<VerifyAuditResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'verifyAudit',
      method: 'GET',
      path: pathOf(`/v1/audit/verify`, undefined),
      ...sent(options),
    })) as VerifyAuditResponse;
  }

  /** The brokers, how far each is behind, and its latest numbers. Needs: viewer. `GET /v1/brokers` */
  async listBrokers(options: CommonOptions & {} = {}): Promise<ListBrokersResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'listBrokers',
      method: 'GET',
      path: pathOf(`/v1/brokers`, undefined),
      ...sent(options),
    })) as ListBrokersResponse;
  }

  /** The connections of a broker, by client id. Needs: viewer. `GET /v1/brokers/{broker}/connections` */
  async listConnections(
    options: CommonOptions & {
      readonly broker: string;
      readonly query?: {
        readonly device?: string | undefined;
        readonly search?: string | undefined;
        readonly limit?: number | undefined;
        readonly after?: string | undefined;
      };
    },
  ): Promise<ListConnectionsResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'listConnections',
      method: 'GET',
      path: pathOf(`/v1/brokers/${encodeURIComponent(options.broker)}/connections`, options.query),
      ...sent(options),
    })) as ListConnectionsResponse;
  }

  /** The policy in force at a broker. Needs: viewer. `GET /v1/brokers/{broker}/policy` */
  async getBrokerPolicy(
    options: CommonOptions & { readonly broker: string },
  ): Promise<GetBrokerPolicyResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getBrokerPolicy',
      method: 'GET',
      path: pathOf(`/v1/brokers/${encodeURIComponent(options.broker)}/policy`, undefined),
      ...sent(options),
    })) as GetBrokerPolicyResponse;
  }

  /** One session with its subscriptions. Needs: viewer. `GET /v1/brokers/{broker}/session` */
  async getMqttSession(
    options: CommonOptions & {
      readonly broker: string;
      readonly query: { readonly clientId: string };
    },
  ): Promise<GetMqttSessionResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getMqttSession',
      method: 'GET',
      path: pathOf(`/v1/brokers/${encodeURIComponent(options.broker)}/session`, options.query),
      ...sent(options),
    })) as GetMqttSessionResponse;
  }

  /** The sessions of a broker, by client id, or those with the longest queue first. Needs: viewer. `GET /v1/brokers/{broker}/sessions` */
  async listSessions(
    options: CommonOptions & {
      readonly broker: string;
      readonly query?: {
        readonly device?: string | undefined;
        readonly search?: string | undefined;
        readonly limit?: number | undefined;
        readonly after?: string | undefined;
        readonly sort?: 'clientId' | 'queue' | undefined;
      };
    },
  ): Promise<ListSessionsResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'listSessions',
      method: 'GET',
      path: pathOf(`/v1/brokers/${encodeURIComponent(options.broker)}/sessions`, options.query),
      ...sent(options),
    })) as ListSessionsResponse;
  }

  /** Returns the CA certificates and the fingerprint that devices pin. `GET /v1/ca` */
  async getCa(options: CommonOptions & {} = {}): Promise<GetCaResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getCa',
      method: 'GET',
      path: pathOf(`/v1/ca`, undefined),
      ...sent(options),
    })) as GetCaResponse;
  }

  /** Returns roots, issuers, what expires and what is wrong. Needs: viewer. `GET /v1/ca/status` */
  async getCaStatus(options: CommonOptions & {} = {}): Promise<GetCaStatusResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getCaStatus',
      method: 'GET',
      path: pathOf(`/v1/ca/status`, undefined),
      ...sent(options),
    })) as GetCaStatusResponse;
  }

  /** Returns the roots of devices that are servers, for programs that connect to them. `GET /v1/device-servers` */
  async getDeviceServers(options: CommonOptions & {} = {}): Promise<GetDeviceServersResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getDeviceServers',
      method: 'GET',
      path: pathOf(`/v1/device-servers`, undefined),
      ...sent(options),
    })) as GetDeviceServersResponse;
  }

  /** Lists identities by page, with filters. Needs: viewer. `GET /v1/devices` */
  async listDevices(
    options: CommonOptions & {
      readonly query?: {
        readonly search?: string | undefined;
        readonly online?: 'true' | 'false' | undefined;
        readonly sort?:
          | 'id'
          | '-id'
          | 'status'
          | '-status'
          | 'group'
          | '-group'
          | 'lastSeen'
          | '-lastSeen'
          | 'expires'
          | '-expires'
          | 'created'
          | '-created'
          | undefined;
        readonly total?: 'true' | 'false' | undefined;
        readonly prefix?: string | undefined;
        readonly group?: string | undefined;
        readonly role?: string | undefined;
        readonly kind?: 'device' | 'service' | 'admin' | 'broker' | 'server' | undefined;
        readonly status?:
          'pending' | 'active' | 'suspended' | 'revoked' | 'quarantined' | undefined;
        readonly attribute?: string | readonly string[] | undefined;
        readonly expiresWithinSeconds?: number | undefined;
        readonly limit?: number | undefined;
        readonly after?: string | undefined;
      };
    } = {},
  ): Promise<ListDevicesResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'listDevices',
      method: 'GET',
      path: pathOf(`/v1/devices`, options.query),
      ...sent(options),
    })) as ListDevicesResponse;
  }

  /** Changes all devices that a filter matches; a dry run counts them first. Needs: operator. `POST /v1/devices/bulk` */
  async changeDevices(
    options: CommonOptions & { readonly body: ChangeDevicesRequest },
  ): Promise<ChangeDevicesResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'changeDevices',
      method: 'POST',
      path: pathOf(`/v1/devices/bulk`, undefined),
      body: options.body,
      ...sent(options),
    })) as ChangeDevicesResponse;
  }

  /** Returns one identity. Needs: viewer. `GET /v1/devices/{id}` */
  async getDevice(options: CommonOptions & { readonly id: string }): Promise<GetDeviceResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getDevice',
      method: 'GET',
      path: pathOf(`/v1/devices/${encodeURIComponent(options.id)}`, undefined),
      ...sent(options),
    })) as GetDeviceResponse;
  }

  /** Changes group, role and attributes of an identity. Needs: operator. `PATCH /v1/devices/{id}` */
  async editDevice(
    options: CommonOptions & { readonly id: string; readonly body: EditDeviceRequest },
  ): Promise<EditDeviceResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'editDevice',
      method: 'PATCH',
      path: pathOf(`/v1/devices/${encodeURIComponent(options.id)}`, undefined),
      body: options.body,
      ...sent(options),
    })) as EditDeviceResponse;
  }

  /** Revokes and deletes an identity. Needs: operator. `DELETE /v1/devices/{id}` */
  async deleteDevice(
    options: CommonOptions & {
      readonly id: string;
      readonly query?: { readonly ownIdentity?: 'true' | 'false' | undefined };
    },
  ): Promise<DeleteDeviceResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'deleteDevice',
      method: 'DELETE',
      path: pathOf(`/v1/devices/${encodeURIComponent(options.id)}`, options.query),
      ...sent(options),
    })) as DeleteDeviceResponse;
  }

  /** Publishes a command for a device, if the policy allows it to the operator, and waits for the reply. Needs: operator. `POST /v1/devices/{id}/commands` */
  async sendCommand(
    options: CommonOptions & { readonly id: string; readonly body: SendCommandRequest },
  ): Promise<SendCommandResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'sendCommand',
      method: 'POST',
      path: pathOf(`/v1/devices/${encodeURIComponent(options.id)}/commands`, undefined),
      body: options.body,
      ...sent(options),
    })) as SendCommandResponse;
  }

  /** The live connections of a device, at all brokers. Needs: viewer. `GET /v1/devices/{id}/connections` */
  async getDeviceConnections(
    options: CommonOptions & { readonly id: string },
  ): Promise<GetDeviceConnectionsResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getDeviceConnections',
      method: 'GET',
      path: pathOf(`/v1/devices/${encodeURIComponent(options.id)}/connections`, undefined),
      ...sent(options),
    })) as GetDeviceConnectionsResponse;
  }

  /** Ends the connections of a device; it may connect again. Needs: operator. `POST /v1/devices/{id}/disconnect` */
  async disconnectDevice(
    options: CommonOptions & { readonly id: string; readonly body?: DisconnectDeviceRequest },
  ): Promise<DisconnectDeviceResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'disconnectDevice',
      method: 'POST',
      path: pathOf(`/v1/devices/${encodeURIComponent(options.id)}/disconnect`, undefined),
      body: options.body,
      ...sent(options),
    })) as DisconnectDeviceResponse;
  }

  /** What happened to a device, newest first: certificates, refusals, connections. Needs: viewer. `GET /v1/devices/{id}/history` */
  async getDeviceHistory(
    options: CommonOptions & {
      readonly id: string;
      readonly query?: { readonly limit?: number | undefined; readonly after?: string | undefined };
    },
  ): Promise<GetDeviceHistoryResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getDeviceHistory',
      method: 'GET',
      path: pathOf(`/v1/devices/${encodeURIComponent(options.id)}/history`, options.query),
      ...sent(options),
    })) as GetDeviceHistoryResponse;
  }

  /** Ends the suspension or quarantine of an identity. Needs: operator. `POST /v1/devices/{id}/resume` */
  async resumeDevice(
    options: CommonOptions & { readonly id: string; readonly body?: ResumeDeviceRequest },
  ): Promise<ResumeDeviceResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'resumeDevice',
      method: 'POST',
      path: pathOf(`/v1/devices/${encodeURIComponent(options.id)}/resume`, undefined),
      body: options.body,
      ...sent(options),
    })) as ResumeDeviceResponse;
  }

  /** Revokes all certificates of an identity and closes its connections. Needs: operator. `POST /v1/devices/{id}/revoke` */
  async revokeDevice(
    options: CommonOptions & {
      readonly id: string;
      readonly query?: { readonly ownIdentity?: 'true' | 'false' | undefined };
      readonly body: RevokeDeviceRequest;
    },
  ): Promise<RevokeDeviceResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'revokeDevice',
      method: 'POST',
      path: pathOf(`/v1/devices/${encodeURIComponent(options.id)}/revoke`, options.query),
      body: options.body,
      ...sent(options),
    })) as RevokeDeviceResponse;
  }

  /** Suspends an identity until it is resumed. Needs: operator. `POST /v1/devices/{id}/suspend` */
  async suspendDevice(
    options: CommonOptions & {
      readonly id: string;
      readonly query?: { readonly ownIdentity?: 'true' | 'false' | undefined };
      readonly body?: SuspendDeviceRequest;
    },
  ): Promise<SuspendDeviceResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'suspendDevice',
      method: 'POST',
      path: pathOf(`/v1/devices/${encodeURIComponent(options.id)}/suspend`, options.query),
      body: options.body,
      ...sent(options),
    })) as SuspendDeviceResponse;
  }

  /** Issues a first certificate, for a token, a factory certificate or after an approval (202). `POST /v1/enroll` */
  async enroll(
    options: CommonOptions & {
      readonly query?: { readonly profile?: string | undefined };
      readonly body: EnrollRequest;
    },
  ): Promise<EnrollResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'enroll',
      method: 'POST',
      path: pathOf(`/v1/enroll`, options.query),
      body: options.body,
      ...sent(options),
    })) as EnrollResponse;
  }

  /** Lists the registered CAs of manufacturers. Needs: viewer. `GET /v1/factories` */
  async listFactories(options: CommonOptions & {} = {}): Promise<ListFactoriesResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'listFactories',
      method: 'GET',
      path: pathOf(`/v1/factories`, undefined),
      ...sent(options),
    })) as ListFactoriesResponse;
  }

  /** Registers or replaces the CA of a manufacturer. Needs: admin. `POST /v1/factories` */
  async putFactory(
    options: CommonOptions & { readonly body: PutFactoryRequest },
  ): Promise<PutFactoryResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'putFactory',
      method: 'POST',
      path: pathOf(`/v1/factories`, undefined),
      body: options.body,
      ...sent(options),
    })) as PutFactoryResponse;
  }

  /** Removes the CA of a manufacturer. Needs: admin. `DELETE /v1/factories/{name}` */
  async deleteFactory(options: CommonOptions & { readonly name: string }): Promise<void> {
    await this.#call({
      operation: 'deleteFactory',
      method: 'DELETE',
      path: pathOf(`/v1/factories/${encodeURIComponent(options.name)}`, undefined),
      ...sent(options),
    });
  }

  /** The groups and how many devices each has, the largest first. Needs: viewer. `GET /v1/groups` */
  async listGroups(options: CommonOptions & {} = {}): Promise<ListGroupsResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'listGroups',
      method: 'GET',
      path: pathOf(`/v1/groups`, undefined),
      ...sent(options),
    })) as ListGroupsResponse;
  }

  /** Revokes every device of a group. Needs: operator. `POST /v1/groups/{group}/revoke` */
  async revokeGroup(
    options: CommonOptions & {
      readonly group: string;
      readonly query?: { readonly ownIdentity?: 'true' | 'false' | undefined };
      readonly body: RevokeGroupRequest;
    },
  ): Promise<RevokeGroupResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'revokeGroup',
      method: 'POST',
      path: pathOf(`/v1/groups/${encodeURIComponent(options.group)}/revoke`, options.query),
      body: options.body,
      ...sent(options),
    })) as RevokeGroupResponse;
  }

  /** Lists the trusted issuers, the current one first. Needs: viewer. `GET /v1/issuers` */
  async listIssuers(options: CommonOptions & {} = {}): Promise<ListIssuersResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'listIssuers',
      method: 'GET',
      path: pathOf(`/v1/issuers`, undefined),
      ...sent(options),
    })) as ListIssuersResponse;
  }

  /** Creates an issuer, which becomes the current one when every broker trusts it. Needs: admin. `POST /v1/issuers` */
  async addIssuer(
    options: CommonOptions & { readonly body?: AddIssuerRequest } = {},
  ): Promise<AddIssuerResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'addIssuer',
      method: 'POST',
      path: pathOf(`/v1/issuers`, undefined),
      body: options.body,
      ...sent(options),
    })) as AddIssuerResponse;
  }

  /** Takes an issuer that another CA has certified; it becomes the current one. Needs: admin. `POST /v1/issuers/import` */
  async importIssuer(
    options: CommonOptions & { readonly body: ImportIssuerRequest },
  ): Promise<ImportIssuerResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'importIssuer',
      method: 'POST',
      path: pathOf(`/v1/issuers/import`, undefined),
      body: options.body,
      ...sent(options),
    })) as ImportIssuerResponse;
  }

  /** Makes a key and a request for an issuer that another CA certifies. Needs: admin. `POST /v1/issuers/requests` */
  async requestIssuer(
    options: CommonOptions & { readonly body?: RequestIssuerRequest } = {},
  ): Promise<RequestIssuerResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'requestIssuer',
      method: 'POST',
      path: pathOf(`/v1/issuers/requests`, undefined),
      body: options.body,
      ...sent(options),
    })) as RequestIssuerResponse;
  }

  /** Removes a former issuer that is no longer needed. Needs: admin. `DELETE /v1/issuers/{fingerprint}` */
  async retireIssuer(options: CommonOptions & { readonly fingerprint: string }): Promise<void> {
    await this.#call({
      operation: 'retireIssuer',
      method: 'DELETE',
      path: pathOf(`/v1/issuers/${encodeURIComponent(options.fingerprint)}`, undefined),
      ...sent(options),
    });
  }

  /** Withdraws an issuer whose key is in other hands, at once. Needs: admin. `POST /v1/issuers/{fingerprint}/withdraw` */
  async withdrawIssuer(
    options: CommonOptions & { readonly fingerprint: string; readonly body: WithdrawIssuerRequest },
  ): Promise<WithdrawIssuerResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'withdrawIssuer',
      method: 'POST',
      path: pathOf(`/v1/issuers/${encodeURIComponent(options.fingerprint)}/withdraw`, undefined),
      body: options.body,
      ...sent(options),
    })) as WithdrawIssuerResponse;
  }

  /** API keys: of the caller, or of all operators for an administrator. Needs: viewer. `GET /v1/keys` */
  async listKeys(options: CommonOptions & {} = {}): Promise<ListKeysResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'listKeys',
      method: 'GET',
      path: pathOf(`/v1/keys`, undefined),
      ...sent(options),
    })) as ListKeysResponse;
  }

  /** An API key; it is shown this once. Needs: viewer. `POST /v1/keys` */
  async createKey(
    options: CommonOptions & { readonly body: CreateKeyRequest },
  ): Promise<CreateKeyResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'createKey',
      method: 'POST',
      path: pathOf(`/v1/keys`, undefined),
      body: options.body,
      ...sent(options),
    })) as CreateKeyResponse;
  }

  /** Deletes an API key. Needs: viewer. `DELETE /v1/keys/{id}` */
  async deleteKey(options: CommonOptions & { readonly id: string }): Promise<void> {
    await this.#call({
      operation: 'deleteKey',
      method: 'DELETE',
      path: pathOf(`/v1/keys/${encodeURIComponent(options.id)}`, undefined),
      ...sent(options),
    });
  }

  /** Publishes a message, if the policy allows it to the operator. Needs: operator. `POST /v1/messages` */
  async publishMessage(
    options: CommonOptions & { readonly body: PublishMessageRequest },
  ): Promise<PublishMessageResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'publishMessage',
      method: 'POST',
      path: pathOf(`/v1/messages`, undefined),
      body: options.body,
      ...sent(options),
    })) as PublishMessageResponse;
  }

  /** Retained messages by topic, as far as the policy lets the operator read them. Needs: viewer. `GET /v1/messages/retained` */
  async listRetained(
    options: CommonOptions & {
      readonly query?: {
        readonly prefix?: string | undefined;
        readonly limit?: number | undefined;
        readonly after?: string | undefined;
        readonly broker?: string | undefined;
      };
    } = {},
  ): Promise<ListRetainedResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'listRetained',
      method: 'GET',
      path: pathOf(`/v1/messages/retained`, options.query),
      ...sent(options),
    })) as ListRetainedResponse;
  }

  /** Connections, messages and denials of the last hour, in steps of five seconds. Needs: viewer. `GET /v1/metrics/history` */
  async getMetricsHistory(
    options: CommonOptions & {
      readonly query?: {
        readonly seconds?: number | undefined;
        readonly broker?: string | undefined;
      };
    } = {},
  ): Promise<GetMetricsHistoryResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getMetricsHistory',
      method: 'GET',
      path: pathOf(`/v1/metrics/history`, options.query),
      ...sent(options),
    })) as GetMetricsHistoryResponse;
  }

  /** The operators. Needs: admin. `GET /v1/operators` */
  async listOperators(options: CommonOptions & {} = {}): Promise<ListOperatorsResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'listOperators',
      method: 'GET',
      path: pathOf(`/v1/operators`, undefined),
      ...sent(options),
    })) as ListOperatorsResponse;
  }

  /** Creates an operator, or changes its role. Needs: admin. `PUT /v1/operators/{name}` */
  async putOperator(
    options: CommonOptions & {
      readonly name: string;
      readonly query?: { readonly ownIdentity?: 'true' | 'false' | undefined };
      readonly body: PutOperatorRequest;
    },
  ): Promise<PutOperatorResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'putOperator',
      method: 'PUT',
      path: pathOf(`/v1/operators/${encodeURIComponent(options.name)}`, options.query),
      body: options.body,
      ...sent(options),
    })) as PutOperatorResponse;
  }

  /** Deletes an operator with its keys and sessions. Needs: admin. `DELETE /v1/operators/{name}` */
  async deleteOperator(
    options: CommonOptions & {
      readonly name: string;
      readonly query?: { readonly ownIdentity?: 'true' | 'false' | undefined };
    },
  ): Promise<void> {
    await this.#call({
      operation: 'deleteOperator',
      method: 'DELETE',
      path: pathOf(`/v1/operators/${encodeURIComponent(options.name)}`, options.query),
      ...sent(options),
    });
  }

  /** The fleet's policy, and what is in force at each broker. Needs: viewer. `GET /v1/policy` */
  async getPolicy(options: CommonOptions & {} = {}): Promise<GetPolicyResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getPolicy',
      method: 'GET',
      path: pathOf(`/v1/policy`, undefined),
      ...sent(options),
    })) as GetPolicyResponse;
  }

  /** Replaces the fleet's policy. Needs: admin. `PUT /v1/policy` */
  async putPolicy(
    options: CommonOptions & { readonly body: PutPolicyRequest },
  ): Promise<PutPolicyResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'putPolicy',
      method: 'PUT',
      path: pathOf(`/v1/policy`, undefined),
      body: options.body,
      ...sent(options),
    })) as PutPolicyResponse;
  }

  /** Whether a policy is valid, and its roles. Needs: viewer. `POST /v1/policy/check` */
  async checkPolicy(
    options: CommonOptions & { readonly body: CheckPolicyRequest },
  ): Promise<CheckPolicyResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'checkPolicy',
      method: 'POST',
      path: pathOf(`/v1/policy/check`, undefined),
      body: options.body,
      ...sent(options),
    })) as CheckPolicyResponse;
  }

  /** Which subscriptions of live and kept sessions a policy would take away. Needs: viewer. `POST /v1/policy/diff` */
  async diffPolicy(
    options: CommonOptions & { readonly body: DiffPolicyRequest },
  ): Promise<DiffPolicyResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'diffPolicy',
      method: 'POST',
      path: pathOf(`/v1/policy/diff`, undefined),
      body: options.body,
      ...sent(options),
    })) as DiffPolicyResponse;
  }

  /** Why something is allowed or denied. Needs: viewer. `POST /v1/policy/explain` */
  async explainPolicy(
    options: CommonOptions & { readonly body: ExplainPolicyRequest },
  ): Promise<ExplainPolicyResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'explainPolicy',
      method: 'POST',
      path: pathOf(`/v1/policy/explain`, undefined),
      body: options.body,
      ...sent(options),
    })) as ExplainPolicyResponse;
  }

  /** The JSON Schema of a policy, for editors. Needs: viewer. `GET /v1/policy/schema` */
  async getPolicySchema(options: CommonOptions & {} = {}): Promise<GetPolicySchemaResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getPolicySchema',
      method: 'GET',
      path: pathOf(`/v1/policy/schema`, undefined),
      ...sent(options),
    })) as GetPolicySchemaResponse;
  }

  /** Compares a policy with a file of expected decisions. Needs: viewer. `POST /v1/policy/test` */
  async testPolicy(
    options: CommonOptions & { readonly body: TestPolicyRequest },
  ): Promise<TestPolicyResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'testPolicy',
      method: 'POST',
      path: pathOf(`/v1/policy/test`, undefined),
      body: options.body,
      ...sent(options),
    })) as TestPolicyResponse;
  }

  /** What brokers and the audit log know more than a registry that was restored. Needs: admin. `GET /v1/reconcile` */
  async getLostChanges(options: CommonOptions & {} = {}): Promise<GetLostChangesResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getLostChanges',
      method: 'GET',
      path: pathOf(`/v1/reconcile`, undefined),
      ...sent(options),
    })) as GetLostChangesResponse;
  }

  /** Applies what differs again, or makes the brokers forget it. Needs: admin. `POST /v1/reconcile` */
  async decideLostChanges(
    options: CommonOptions & { readonly body: DecideLostChangesRequest },
  ): Promise<DecideLostChangesResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'decideLostChanges',
      method: 'POST',
      path: pathOf(`/v1/reconcile`, undefined),
      body: options.body,
      ...sent(options),
    })) as DecideLostChangesResponse;
  }

  /** Issues the successor of the client certificate. `POST /v1/renew` */
  async renew(options: CommonOptions & { readonly body: RenewRequest }): Promise<RenewResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'renew',
      method: 'POST',
      path: pathOf(`/v1/renew`, undefined),
      body: options.body,
      ...sent(options),
    })) as RenewResponse;
  }

  /** Returns when the client certificate should be renewed. `GET /v1/renewal-info` */
  async getRenewalInfo(options: CommonOptions & {} = {}): Promise<GetRenewalInfoResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getRenewalInfo',
      method: 'GET',
      path: pathOf(`/v1/renewal-info`, undefined),
      ...sent(options),
    })) as GetRenewalInfoResponse;
  }

  /** Lists enrollment requests that wait for a decision. Needs: viewer. `GET /v1/requests` */
  async listRequests(options: CommonOptions & {} = {}): Promise<ListRequestsResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'listRequests',
      method: 'GET',
      path: pathOf(`/v1/requests`, undefined),
      ...sent(options),
    })) as ListRequestsResponse;
  }

  /** Approves a request; the device gets its certificate with its next attempt. Needs: operator. `POST /v1/requests/{id}/approve` */
  async approveRequest(
    options: CommonOptions & { readonly id: string; readonly body: ApproveRequestRequest },
  ): Promise<ApproveRequestResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'approveRequest',
      method: 'POST',
      path: pathOf(`/v1/requests/${encodeURIComponent(options.id)}/approve`, undefined),
      body: options.body,
      ...sent(options),
    })) as ApproveRequestResponse;
  }

  /** Denies a request. Needs: operator. `POST /v1/requests/{id}/deny` */
  async denyRequest(
    options: CommonOptions & { readonly id: string; readonly body?: DenyRequestRequest },
  ): Promise<DenyRequestResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'denyRequest',
      method: 'POST',
      path: pathOf(`/v1/requests/${encodeURIComponent(options.id)}/deny`, undefined),
      body: options.body,
      ...sent(options),
    })) as DenyRequestResponse;
  }

  /** The published lists of revoked certificates, and until when each is valid. Needs: viewer. `GET /v1/revocation-lists` */
  async listRevocationLists(
    options: CommonOptions & {} = {},
  ): Promise<ListRevocationListsResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'listRevocationLists',
      method: 'GET',
      path: pathOf(`/v1/revocation-lists`, undefined),
      ...sent(options),
    })) as ListRevocationListsResponse;
  }

  /** Makes the next root the current one; creates it first if there is none. Needs: admin. `POST /v1/roots` */
  async rollOverRoot(
    options: CommonOptions & { readonly body?: RollOverRootRequest } = {},
  ): Promise<RollOverRootResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'rollOverRoot',
      method: 'POST',
      path: pathOf(`/v1/roots`, undefined),
      body: options.body,
      ...sent(options),
    })) as RollOverRootResponse;
  }

  /** Signs the lists of the roots again, with every withdrawn issuer. Needs: admin. `POST /v1/roots/crl` */
  async signRootLists(
    options: CommonOptions & { readonly body?: SignRootListsRequest } = {},
  ): Promise<SignRootListsResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'signRootLists',
      method: 'POST',
      path: pathOf(`/v1/roots/crl`, undefined),
      body: options.body,
      ...sent(options),
    })) as SignRootListsResponse;
  }

  /** Trusts a root whose key is stored elsewhere, as the next one. Needs: admin. `POST /v1/roots/import` */
  async importRoot(
    options: CommonOptions & { readonly body: ImportRootRequest },
  ): Promise<ImportRootResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'importRoot',
      method: 'POST',
      path: pathOf(`/v1/roots/import`, undefined),
      body: options.body,
      ...sent(options),
    })) as ImportRootResponse;
  }

  /** Removes the former root with its issuers, when nothing needs them. Needs: admin. `DELETE /v1/roots/{fingerprint}` */
  async retireRoot(options: CommonOptions & { readonly fingerprint: string }): Promise<void> {
    await this.#call({
      operation: 'retireRoot',
      method: 'DELETE',
      path: pathOf(`/v1/roots/${encodeURIComponent(options.fingerprint)}`, undefined),
      ...sent(options),
    });
  }

  /** Issues a certificate to a service, an administrator, a broker or another server. Needs: admin. `POST /v1/services` */
  async createService(
    options: CommonOptions & { readonly body: CreateServiceRequest },
  ): Promise<CreateServiceResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'createService',
      method: 'POST',
      path: pathOf(`/v1/services`, undefined),
      body: options.body,
      ...sent(options),
    })) as CreateServiceResponse;
  }

  /** Who calls, with which role, until when. Needs: viewer. `GET /v1/session` */
  async getSession(options: CommonOptions & {} = {}): Promise<GetSessionResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getSession',
      method: 'GET',
      path: pathOf(`/v1/session`, undefined),
      ...sent(options),
    })) as GetSessionResponse;
  }

  /** Signs the browser out. Needs: viewer. `DELETE /v1/session` */
  async signOut(options: CommonOptions & {} = {}): Promise<void> {
    await this.#call({
      operation: 'signOut',
      method: 'DELETE',
      path: pathOf(`/v1/session`, undefined),
      ...sent(options),
    });
  }

  /** The ways to sign in. `GET /v1/sign-in` */
  async getSignInOptions(options: CommonOptions & {} = {}): Promise<GetSignInOptionsResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getSignInOptions',
      method: 'GET',
      path: pathOf(`/v1/sign-in`, undefined),
      ...sent(options),
    })) as GetSignInOptionsResponse;
  }

  /** A link that signs a browser in once. Needs: admin. `POST /v1/sign-in/links` */
  async createSignInLink(
    options: CommonOptions & { readonly body: CreateSignInLinkRequest },
  ): Promise<CreateSignInLinkResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'createSignInLink',
      method: 'POST',
      path: pathOf(`/v1/sign-in/links`, undefined),
      body: options.body,
      ...sent(options),
    })) as CreateSignInLinkResponse;
  }

  /** The simulations, the one in progress, and plans to begin with. Needs: viewer. `GET /v1/simulator` */
  async getSimulator(options: CommonOptions & {} = {}): Promise<GetSimulatorResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getSimulator',
      method: 'GET',
      path: pathOf(`/v1/simulator`, undefined),
      ...sent(options),
    })) as GetSimulatorResponse;
  }

  /** Whether a plan can be run. Needs: viewer. `POST /v1/simulator/check` */
  async checkSimulation(
    options: CommonOptions & { readonly body: CheckSimulationRequest },
  ): Promise<CheckSimulationResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'checkSimulation',
      method: 'POST',
      path: pathOf(`/v1/simulator/check`, undefined),
      body: options.body,
      ...sent(options),
    })) as CheckSimulationResponse;
  }

  /** Compares two reports: what got better or worse. Needs: viewer. `GET /v1/simulator/compare` */
  async compareSimulations(
    options: CommonOptions & { readonly query: { readonly a: string; readonly b: string } },
  ): Promise<CompareSimulationsResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'compareSimulations',
      method: 'GET',
      path: pathOf(`/v1/simulator/compare`, options.query),
      ...sent(options),
    })) as CompareSimulationsResponse;
  }

  /** Starts a simulation; one can run at a time. Needs: admin. `POST /v1/simulator/runs` */
  async startSimulation(
    options: CommonOptions & { readonly body: StartSimulationRequest },
  ): Promise<StartSimulationResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'startSimulation',
      method: 'POST',
      path: pathOf(`/v1/simulator/runs`, undefined),
      body: options.body,
      ...sent(options),
    })) as StartSimulationResponse;
  }

  /** The main part of a report. Needs: viewer. `GET /v1/simulator/runs/{id}` */
  async getSimulationReport(
    options: CommonOptions & { readonly id: string },
  ): Promise<GetSimulationReportResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getSimulationReport',
      method: 'GET',
      path: pathOf(`/v1/simulator/runs/${encodeURIComponent(options.id)}`, undefined),
      ...sent(options),
    })) as GetSimulationReportResponse;
  }

  /** Deletes a report. Needs: admin. `DELETE /v1/simulator/runs/{id}` */
  async deleteSimulation(options: CommonOptions & { readonly id: string }): Promise<void> {
    await this.#call({
      operation: 'deleteSimulation',
      method: 'DELETE',
      path: pathOf(`/v1/simulator/runs/${encodeURIComponent(options.id)}`, undefined),
      ...sent(options),
    });
  }

  /** Ends the simulation in progress; its report is kept. Needs: admin. `POST /v1/simulator/runs/{id}/stop` */
  async stopSimulation(
    options: CommonOptions & { readonly id: string },
  ): Promise<StopSimulationResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'stopSimulation',
      method: 'POST',
      path: pathOf(`/v1/simulator/runs/${encodeURIComponent(options.id)}/stop`, undefined),
      ...sent(options),
    })) as StopSimulationResponse;
  }

  /** The JSON Schema of a plan, for editors. Needs: viewer. `GET /v1/simulator/schema` */
  async getSimulationSchema(
    options: CommonOptions & {} = {},
  ): Promise<GetSimulationSchemaResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getSimulationSchema',
      method: 'GET',
      path: pathOf(`/v1/simulator/schema`, undefined),
      ...sent(options),
    })) as GetSimulationSchemaResponse;
  }

  /** The fleet in numbers. Needs: viewer. `GET /v1/stats` */
  async getStats(options: CommonOptions & {} = {}): Promise<GetStatsResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getStats',
      method: 'GET',
      path: pathOf(`/v1/stats`, undefined),
      ...sent(options),
    })) as GetStatsResponse;
  }

  /** Service health checks. Needs: viewer. `GET /v1/status` */
  async getStatus(options: CommonOptions & {} = {}): Promise<GetStatusResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'getStatus',
      method: 'GET',
      path: pathOf(`/v1/status`, undefined),
      ...sent(options),
    })) as GetStatusResponse;
  }

  /** Creates a token for one device; it is shown only once. Needs: operator. `POST /v1/tokens` */
  async createToken(
    options: CommonOptions & { readonly body: CreateTokenRequest },
  ): Promise<CreateTokenResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'createToken',
      method: 'POST',
      path: pathOf(`/v1/tokens`, undefined),
      body: options.body,
      ...sent(options),
    })) as CreateTokenResponse;
  }

  /** Enrollment tokens, newest first, by page. Needs: viewer. `GET /v1/tokens` */
  async listTokens(
    options: CommonOptions & {
      readonly query?: {
        readonly device?: string | undefined;
        readonly group?: string | undefined;
        readonly status?: 'active' | 'used' | 'expired' | undefined;
        readonly limit?: number | undefined;
        readonly after?: string | undefined;
      };
    } = {},
  ): Promise<ListTokensResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'listTokens',
      method: 'GET',
      path: pathOf(`/v1/tokens`, options.query),
      ...sent(options),
    })) as ListTokensResponse;
  }

  /** Creates tokens for many devices. Needs: operator. `POST /v1/tokens/batch` */
  async createTokens(
    options: CommonOptions & { readonly body: CreateTokensRequest },
  ): Promise<CreateTokensResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'createTokens',
      method: 'POST',
      path: pathOf(`/v1/tokens/batch`, undefined),
      body: options.body,
      ...sent(options),
    })) as CreateTokensResponse;
  }

  /** Creates a token for new devices of a group, as many as `uses` allows. Needs: operator. `POST /v1/tokens/group` */
  async createGroupToken(
    options: CommonOptions & { readonly body: CreateGroupTokenRequest },
  ): Promise<CreateGroupTokenResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'createGroupToken',
      method: 'POST',
      path: pathOf(`/v1/tokens/group`, undefined),
      body: options.body,
      ...sent(options),
    })) as CreateGroupTokenResponse;
  }

  /** Revokes a token. Needs: operator. `DELETE /v1/tokens/{name}` */
  async revokeToken(options: CommonOptions & { readonly name: string }): Promise<void> {
    await this.#call({
      operation: 'revokeToken',
      method: 'DELETE',
      path: pathOf(`/v1/tokens/${encodeURIComponent(options.name)}`, undefined),
      ...sent(options),
    });
  }

  /** Returns the identity of the client certificate, if it is valid. `GET /v1/whoami` */
  async whoami(options: CommonOptions & {} = {}): Promise<WhoamiResponse> {
    // The seam to the network: the service checks what it sends by the same schema.

    return (await this.#call({
      operation: 'whoami',
      method: 'GET',
      path: pathOf(`/v1/whoami`, undefined),
      ...sent(options),
    })) as WhoamiResponse;
  }
}
