/**
 * A session layer with the default policy and limits, whose connections have no network.
 *
 * @module
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate, type Packet } from 'mqtt-packet';
import { CurrentRights } from '../../broker/admission/current-rights.ts';
import { IncidentHolds } from '../../broker/admission/incident-holds.ts';
import type { Identity } from '../../broker/contracts/identity.ts';
import { ConnectionExpiry } from '../../broker/enforcement/connection-expiry.ts';
import { ConnectionReview } from '../../broker/enforcement/connection-review.ts';
import { Directory } from '../../broker/feed/broker-directory.ts';
import { PolicyAuthorizer } from '../../broker/policy/policy-authorizer.ts';
import {
  createSessionLayer,
  type MqttSessionLayer,
} from '../../broker/session/mqtt-session-layer.ts';
import { openDurableStore } from '../../broker/store/durable-store.ts';
import { storeLimits } from '../../broker/store/open-store.ts';
import { systemClock } from '../../core/clock.ts';
import { checkConfig } from '../../core/config/config.ts';
import { parseDeviceId } from '../../core/device-id.ts';
import { silentLog } from '../../core/log.ts';
import { defaultPolicyText } from '../../core/policy/default-policy.ts';
import { parsePolicy } from '../../core/policy/policy-file.ts';
import type { Policy } from '../../core/policy/policy-model.ts';
import type { DirectoryEntry } from '../../core/protocol/feed.ts';
import { uncheckedIdentity } from '../unchecked-identity.ts';
import { settle } from './turn-probe.ts';
import { SilentWire } from './silent-wire.ts';

/** The latest time that operators can be shown. */
const clockMaxMs = 8.64e15;

/** A client: what it sends is handled in the turn of the call. */
export class StallClient {
  readonly wire = new SilentWire();
  readonly #version: 4 | 5;

  constructor(layer: MqttSessionLayer, identity: Identity, version: 4 | 5) {
    this.#version = version;
    layer.accept(this.wire, identity);
  }

  send(packet: Packet): void {
    this.wire.receive(generate(packet, { protocolVersion: this.#version }));
  }

  encode(packet: Packet): Buffer {
    return generate(packet, { protocolVersion: this.#version });
  }
}

export class StallWorld {
  readonly layer: MqttSessionLayer;
  readonly directory: Directory;
  readonly review: ConnectionReview;
  readonly #authorizer: PolicyAuthorizer;
  readonly #folder: string;

  private constructor(
    layer: MqttSessionLayer,
    directory: Directory,
    authorizer: PolicyAuthorizer,
    folder: string,
  ) {
    this.#folder = folder;
    this.layer = layer;
    this.directory = directory;
    this.#authorizer = authorizer;
    const clock = systemClock;
    const expiry = new ConnectionExpiry(clock, directory, 0);
    const holds = new IncidentHolds();
    this.review = new ConnectionReview({
      clock,
      directory,
      layer,
      expiry,
      holds,
      authorizer,
      material: { authorities: [] },
    });
  }

  static async open(): Promise<StallWorld> {
    const config = checkConfig({});
    const limits = config.limits.broker;
    const folder = mkdtempSync(join(tmpdir(), 'stall-'));
    const path = join(folder, 'store.sqlite');
    const clock = systemClock;
    const authorizer = new PolicyAuthorizer(policyOf(''), limits, 'close');
    const directory = new Directory();
    const ignore = (): void => undefined;
    const layer = await createSessionLayer(config, {
      authorizer,
      events: {
        connected: ignore,
        disconnected: ignore,
        refused: ignore,
        denied: ignore,
        dropped: ignore,
      },
      intercept: () => false,
      rights: new CurrentRights(directory, new IncidentHolds()),
      clock,
      log: silentLog,
      store: await openDurableStore({ path, limits: storeLimits(limits), clock }),
    });
    return new StallWorld(layer, directory, authorizer, folder);
  }

  /** Connects a client, and waits for its CONNACK. */
  async connect(id: string, options: ConnectOptions = {}): Promise<StallClient> {
    const { version = 5, clean = true, clientId = id, role = 'device' } = options;
    const identity = uncheckedIdentity(id);
    const client = new StallClient(
      this.layer,
      { ...identity, notAfterMs: clockMaxMs, entry: { ...identity.entry, role } },
      version,
    );
    client.send(connectRequest(clientId, { version, clean }));
    await until(() => client.wire.sentBytes > 0);
    return client;
  }

  async close(): Promise<void> {
    await this.layer.close();
    rmSync(this.#folder, { recursive: true });
  }

  /** Puts a policy in force that differs in one rule. */
  changePolicy(topic: string): Promise<void> {
    this.#authorizer.replace(policyOf(topic));
    return this.review.policy();
  }

  /** A client that has not sent anything. */
  client(id: string): StallClient {
    return new StallClient(this.layer, uncheckedIdentity(id), 5);
  }

  /** Waits until everything is committed. */
  committed(): Promise<void> {
    return new Promise((resolve) => this.layer.context.store.afterCommit(() => resolve()));
  }
}

export interface ConnectOptions {
  readonly version?: 4 | 5;
  readonly clean?: boolean;
  readonly clientId?: string;
  readonly role?: string;
}

export function connectRequest(
  clientId: string,
  { version, clean }: { readonly version: 4 | 5; readonly clean: boolean },
): Packet {
  return {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: version,
    clientId,
    clean,
    keepalive: 600,
    ...(version === 5 && !clean ? { properties: { sessionExpiryInterval: 3600 } } : {}),
  };
}

function policyOf(extraTopic: string): Policy {
  const rule = (topic: string): string =>
    `{ name: extra, allow: [subscribe], topics: ['${topic}'] }`;
  // A role whose identities have several sessions.
  const role = `  test:\n    clientIds: prefix\n    rules:\n      - ${rule('devices/{device}/#')}\n`;
  const more = extraTopic === '' ? '' : `      - ${rule(extraTopic)}\n`;
  return parsePolicy(`${defaultPolicyText.trimEnd()}\n${role}${more}`);
}

export function directoryEntry(
  id: string,
  status: DirectoryEntry['status'] = 'active',
): DirectoryEntry {
  const certificate = {
    serial: '0a1b2c3d4e5f60718293a4b5c6d7e8f9',
    fingerprint: `sha256:${'0'.repeat(64)}`,
    notBeforeMs: 0,
    notAfterMs: Number.MAX_SAFE_INTEGER,
    status: 'active' as const,
  };
  return {
    id: parseDeviceId(id),
    role: 'device',
    status,
    group: 'bench',
    attributes: { site: 'north' },
    certificates: [certificate],
  };
}

export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await settle(1);
}
