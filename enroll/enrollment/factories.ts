/**
 * Factory certificates: what a manufacturer put into a device, good for one thing, asking for
 * enrollment. An operator registers the CA that signed them.
 *
 * @module
 */
import { X509Certificate } from 'node:crypto';
import { commonNameOf, readCertificate } from '../../certs/certificate.ts';
import type { Clock } from '../../core/clock.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { FactoryRecord } from '../registry/records.ts';
import type { Registry, Stored } from '../registry/registry.ts';

/** A factory certificate whose owner proved that he has its key. */
export interface FactoryWarrant {
  readonly factory: FactoryRecord;
  readonly device: DeviceId;
  readonly serial: string;
  readonly fingerprint: string;
}

export interface FactoryWish {
  readonly name: string;
  readonly certificate: string;
  readonly group?: string | undefined;
  readonly profile?: string | undefined;
  readonly allowed?: readonly string[] | undefined;
  readonly approval: boolean;
}

/** How many manufacturers' CAs may be registered. */
export const factoriesMax = 64;

/** A row for a manufacturer's CA. @throws FlotillaError `factory-invalid`, `certificate-unreadable` */
export function factoryRecord(wish: FactoryWish, nowMs: number): FactoryRecord {
  const facts = readCertificate(wish.certificate);
  if (!facts.isCa) {
    throw new FlotillaError('factory-invalid', { detail: 'the certificate is not that of a CA' });
  }
  if (facts.notAfterMs <= nowMs) {
    throw new FlotillaError('factory-invalid', { detail: 'the certificate has ended' });
  }
  return {
    name: wish.name,
    certificate: facts.pem,
    fingerprint: facts.fingerprint,
    group: wish.group ?? null,
    profile: wish.profile ?? null,
    allowed: wish.allowed ?? null,
    approval: wish.approval,
    createdAtMs: nowMs,
  };
}

/** The registered CAs, kept at hand: asked in every handshake of a factory certificate. */
export class Factories {
  readonly #clock: Clock;
  #known: readonly { readonly record: FactoryRecord; readonly x509: X509Certificate }[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** PEM of each: what TLS names to clients as accepted issuers. */
  get pems(): readonly string[] {
    return this.#known.map(({ record }) => record.certificate);
  }

  async load(registry: Registry): Promise<void> {
    const records: Stored<FactoryRecord>[] = [];
    for await (const record of registry.rows('factories')) records.push(record);
    this.#known = records.map((record) => ({
      record,
      x509: new X509Certificate(record.certificate),
    }));
  }

  /**
   * What a certificate that a TLS client proved to own is worth.
   *
   * @returns undefined when no registered CA signed it
   * @throws FlotillaError `factory-certificate-refused`: expired, not listed, or without an identity
   */
  warrant(certificate: X509Certificate): FactoryWarrant | undefined {
    const issuer = this.#known.find(
      ({ x509 }) => certificate.checkIssued(x509) && certificate.verify(x509.publicKey),
    );
    if (issuer === undefined) return undefined;
    const { record, x509 } = issuer;
    const refuse = (detail: string): FlotillaError =>
      new FlotillaError('factory-certificate-refused', { detail: `${record.name}: ${detail}` });
    const facts = readCertificate(certificate);
    const now = this.#clock.now();
    if (facts.isCa) throw refuse('it is that of a CA');
    if (now < facts.notBeforeMs || now >= facts.notAfterMs) throw refuse('it has ended');
    if (now >= Date.parse(x509.validTo)) throw refuse("the manufacturer's CA has ended");
    const name = commonNameOf(certificate);
    if (!name.ok) throw refuse('its common name is not a device id');
    const { allowed } = record;
    if (allowed !== null && !allowed.includes(facts.serial) && !allowed.includes(name.id)) {
      throw refuse('it is not on the list');
    }
    return {
      factory: record,
      device: name.id,
      serial: facts.serial,
      fingerprint: facts.fingerprint,
    };
  }
}
