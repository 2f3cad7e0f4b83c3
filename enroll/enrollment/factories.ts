/**
 * Factory certificates: a manufacturer installs them in devices, and they serve one purpose, to request
 * enrollment. An operator registers the CA that signed them.
 *
 * @module
 */
import { AgeMap } from '../../core/age-map.ts';
import type { X509Certificate } from 'node:crypto';
import { readCertificate, splitPem, type CertificateFacts } from '../../certs/certificate.ts';
import { anchorFault, pathFault, pathIntermediatesMax } from '../../certs/certification-path.ts';
import type { Clock } from '../../core/clock.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { withSerialForms } from './allowed-devices.ts';
import { defaultDeviceIdRule, mappedDevice, ruleFault } from './device-id-rule.ts';
import type { FactoryRecord } from '../registry/records.ts';
import type { Registry, Stored } from '../registry/registry.ts';

/** A factory certificate whose private key the client has proved to own. */
export interface FactoryAuthorization {
  readonly factory: FactoryRecord;
  readonly device: DeviceId;
  readonly serial: string;
  readonly fingerprint: string;
}

export interface FactoryRequest {
  readonly name: string;
  readonly certificate: string;
  readonly group?: string | undefined;
  /** The role in the policy of its devices. */
  readonly role?: string | undefined;
  readonly profile?: string | undefined;
  readonly allowed?: readonly string[] | undefined;
  /** How the device id follows from a certificate. */
  readonly deviceId?: string | undefined;
  readonly approval: boolean;
  readonly takesOver: boolean;
}

/** The maximum number of registered CAs. */
export const factoriesMax = 64;

/**
 * The row for a manufacturer's CA. @throws FlotillaError `factory-invalid`, `certificate-unreadable`
 */
export function factoryRecord(request: FactoryRequest, nowMs: number): FactoryRecord {
  const facts = readCertificate(request.certificate);
  const fault =
    splitPem(request.certificate).length > 1
      ? 'expected one certificate; devices send the intermediate certificates'
      : (anchorFault(facts, nowMs) ??
        (request.deviceId === undefined ? undefined : ruleFault(request.deviceId)));
  if (fault !== undefined) throw new FlotillaError('factory-invalid', { detail: fault });
  return {
    name: request.name,
    certificate: facts.pem,
    fingerprint: facts.fingerprint,
    group: request.group ?? null,
    ...(request.role === undefined ? {} : { role: request.role }),
    profile: request.profile ?? null,
    allowed: request.allowed === undefined ? null : withSerialForms(request.allowed),
    ...(request.deviceId === undefined ? {} : { deviceId: request.deviceId }),
    approval: request.approval,
    takesOver: request.takesOver,
    createdAtMs: nowMs,
  };
}

/** The number of certification paths that are remembered for resumed TLS sessions. */
const pathsMax = 1000;

interface KnownFactory {
  readonly record: FactoryRecord;
  readonly ca: CertificateFacts;
}

/**
 * The registered CAs, in memory: needed for each request with a certificate that this service did not issue.
 */
export class Factories {
  readonly #clock: Clock;
  #known: readonly KnownFactory[] = [];
  /**
   * By the fingerprint of the leaf: the intermediate certificates of an earlier connection, because a resumed
   * session has none.
   */
  readonly #shown = new AgeMap<string, readonly CertificateFacts[]>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** PEM of each CA: sent to clients in the TLS handshake as accepted issuers. */
  get pems(): readonly string[] {
    return this.#known.map(({ record }) => record.certificate);
  }

  async load(registry: Registry): Promise<void> {
    const records: Stored<FactoryRecord>[] = [];
    for await (const record of registry.rows('factories')) records.push(record);
    this.#known = records.map((record) => ({ record, ca: readCertificate(record.certificate) }));
    this.#shown.clear();
  }

  /**
   * What a factory certificate authorizes. The client has proved to own the key of `certificate`, and may
   * have sent intermediate certificates. The path to a registered CA is verified on every call.
   *
   * @param chain the certificate and its intermediate certificates (default: those of the TLS connection)
   * @returns undefined when the path does not lead to a registered CA
   * @throws FlotillaError `factory-certificate-refused`: the path is not valid, the certificate is not on the
   *   list of allowed ones, or the factory's rule makes no device id of it
   */
  authorization(
    certificate: X509Certificate,
    chain: readonly X509Certificate[] = chainOf(certificate),
  ): FactoryAuthorization | undefined {
    const found = this.#pathOf(certificate, chain);
    if (found === undefined) return undefined;
    const { record, ca } = found.factory;
    const refuse = (detail: string): FlotillaError =>
      new FlotillaError('factory-certificate-refused', { detail: `${record.name}: ${detail}` });
    const fault = pathFault(found.path, ca, this.#clock.now());
    if (fault !== undefined) throw refuse(fault);
    if (found.path.length > 1) this.#remember(certificate, found.path);
    const [leaf] = found.path;
    if (leaf === undefined) return undefined;
    const mapped = mappedDevice(record.deviceId ?? defaultDeviceIdRule, leaf);
    if (!mapped.ok) throw refuse(mapped.fault);
    const { serial, fingerprint } = leaf;
    const { id } = mapped;
    const { allowed } = record;
    if (allowed !== null && !allowed.includes(serial) && !allowed.includes(id)) {
      throw refuse('it is not on the list of allowed devices');
    }
    return { factory: record, device: id, serial, fingerprint };
  }

  /**
   * The path to the nearest registered CA, by names and key identifiers only: nothing is verified yet.
   */
  #pathOf(
    leaf: X509Certificate,
    chain: readonly X509Certificate[],
  ): { path: readonly CertificateFacts[]; factory: KnownFactory } | undefined {
    const before = chain.length > 1 ? undefined : this.#shown.get(leaf.fingerprint256);
    const shown = before?.map(({ x509 }) => x509) ?? chain;
    for (const [at, one] of shown.entries()) {
      const factory = this.#known.find(({ ca }) => one.checkIssued(ca.x509));
      if (factory === undefined) continue;
      return { path: shown.slice(0, at + 1).map(readCertificate), factory };
    }
    return undefined;
  }

  #remember(leaf: X509Certificate, path: readonly CertificateFacts[]): void {
    const { fingerprint256 } = leaf;
    if (this.#shown.has(fingerprint256)) return;
    const oldest = this.#shown.size >= pathsMax ? this.#shown.oldestKey() : undefined;
    if (oldest !== undefined) this.#shown.delete(oldest);
    this.#shown.set(fingerprint256, path);
  }
}

/** The leaf and its intermediate certificates, up to the maximum length of a path. */
function chainOf(leaf: X509Certificate): X509Certificate[] {
  const chain = [leaf];
  for (let next = leaf.issuerCertificate; next !== undefined; next = next.issuerCertificate) {
    if (chain.length > pathIntermediatesMax) break;
    chain.push(next);
  }
  return chain;
}
