/**
 * The certificates of the CA folder, read and checked without any key. See {@link ./ca-folder.ts} for the files.
 *
 * @module
 */
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { readCertificate, splitPem, type CertificateFacts } from '../../certs/certificate.ts';
import { issuerChainFault } from '../../certs/certification-path.ts';
import { oids } from '../../certs/oids.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { issuerPurposes } from '../../core/protocol/enrollment-api.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { isExternalKey, readText } from './ca-files.ts';

/**
 * What an issuer signs. `all`: it has no extended key usage, as in installations before there were two issuers.
 * `device-servers`: devices that are servers as well; it is its own root, which services and devices do not trust.
 */
export type IssuerPurpose = (typeof issuerPurposes)[number];

/** What the issuers of an installation sign. */
export type SignedPurpose = Exclude<IssuerPurpose, 'all'>;

/** What issuers below the root of the services sign. */
export type RootedPurpose = 'devices' | 'services';

/** An issuer with the CAs above it. */
export interface IssuerChain {
  readonly certificate: CertificateFacts;
  /** The CAs between the issuer and its root: first the one that signed the issuer. */
  readonly above: readonly CertificateFacts[];
  readonly root: CertificateFacts;
  readonly purpose: IssuerPurpose;
  /** Whether the key is at an external CA, which signs requests of devices (external-ca.ts). */
  readonly isExternal?: boolean;
}

/** The certificates of the CA. */
export interface CaInventory {
  /** The root that new devices pin. */
  readonly root: CertificateFacts;
  /** Every trusted root: the current one, then the next one or the former one. */
  readonly roots: readonly CertificateFacts[];
  readonly next: CertificateFacts | undefined;
  readonly former: CertificateFacts | undefined;
  /** Certificates of one root that the other one has signed (RFC 4210, 4.4). */
  readonly cross: readonly CertificateFacts[];
  /** The issuer that signs certificates of devices; undefined before the first one was imported. */
  readonly current: IssuerChain | undefined;
  /** The issuer that signs certificates of services and servers; undefined when the current one does. */
  readonly service: IssuerChain | undefined;
  /** The issuer that signs certificates of devices that are servers as well; undefined when there are none. */
  readonly deviceServers: IssuerChain | undefined;
  /** What nothing signs at the moment, because its issuer was withdrawn and another one is not there yet. */
  readonly unsigned: readonly SignedPurpose[];
  /** Every issuer whose clients are trusted: those that sign first, then the newest. */
  readonly issuers: readonly IssuerChain[];
  readonly withdrawn: readonly CertificateFacts[];
}

/** The names of the folders of other roots in `ca/roots`. */
export const nextRoot = 'next';
export const formerRoot = 'former';

/**
 * Reads every certificate and checks that each issuer chains to a trusted root.
 *
 * @throws FlotillaError `ca-missing`, `ca-chain-broken`, `certificate-unreadable`
 */
export async function readCaInventory(state: StateFolder): Promise<CaInventory> {
  const rootPem = await readText(state.ca.rootCert);
  if (rootPem === undefined) throw new FlotillaError('ca-missing', { detail: state.ca.rootCert });
  const root = readCertificate(rootPem);
  const next = await otherRoot(state, nextRoot, root);
  const former = await otherRoot(state, formerRoot, root);
  const roots = [
    root,
    ...(next === undefined ? [] : [next]),
    ...(former === undefined ? [] : [former]),
  ];
  const withdrawn = (await storedCertificates(state.ca.withdrawn)).map((pem) =>
    readCertificate(splitPem(pem)[0] ?? ''),
  );
  const withdrawnOnes = new Set(withdrawn.map(({ fingerprint }) => fingerprint));
  const external = await externalIssuers(state);
  const chains = new Map<string, IssuerChain>();
  const add = (pem: string | undefined): IssuerChain | undefined => {
    if (pem === undefined || withdrawnOnes.has(fingerprintOfIssuer(pem))) return undefined;
    const found = deviceServersChainOf(pem) ?? issuerChainOf(pem, roots);
    const isExternal = external.has(issuerDigits(found.certificate.fingerprint));
    const chain = isExternal ? { ...found, isExternal } : found;
    const known = chains.get(chain.certificate.fingerprint);
    chains.set(chain.certificate.fingerprint, known ?? chain);
    return known ?? chain;
  };
  const issuerPem = await readText(state.ca.issuerCert);
  const servicePem = await readText(state.ca.serviceCert);
  const deviceServersPem = await readText(state.ca.deviceServersCert);
  const current = add(issuerPem);
  const service = add(servicePem);
  const deviceServers = add(deviceServersPem);
  const isWithdrawn = (pem: string | undefined): boolean =>
    pem !== undefined && withdrawnOnes.has(fingerprintOfIssuer(pem));
  const unsigned: SignedPurpose[] = [
    ...(isWithdrawn(issuerPem) ? (['devices'] as const) : []),
    ...(isWithdrawn(servicePem ?? issuerPem) ? (['services'] as const) : []),
    ...(isWithdrawn(deviceServersPem) ? (['device-servers'] as const) : []),
  ];
  for (const pem of await storedCertificates(state.ca.issuers)) add(pem);
  const first = [current, service, deviceServers].filter((one) => one !== undefined);
  const others = [...chains.values()].filter((one) => !first.includes(one));
  others.sort((one, other) => other.certificate.notBeforeMs - one.certificate.notBeforeMs);
  return {
    root,
    roots,
    next,
    former,
    cross: roots.length === 1 ? [] : await crossCertificates(state),
    current,
    service,
    deviceServers,
    unsigned,
    issuers: [...new Set(first), ...others],
    withdrawn,
  };
}

/** The digits of the issuers whose key is at an external CA. */
async function externalIssuers({ ca }: StateFolder): Promise<ReadonlySet<string>> {
  const digits = new Set<string>();
  for (const folder of await foldersIn(ca.issuers)) {
    if (isExternalKey((await readText(join(folder, 'key.pem'))) ?? ''))
      digits.add(basename(folder));
  }
  return digits;
}

/** An issuer may be followed by the CAs above it. Text that is not a certificate is reported when it is parsed. */
function fingerprintOfIssuer(pem: string): string {
  const [issuer] = splitPem(pem);
  return issuer === undefined ? '' : readCertificate(issuer).fingerprint;
}

/**
 * Parses an issuer and the CAs above it, and checks that they chain to one of the roots. The roots themselves may be
 * in the text.
 *
 * @throws FlotillaError `ca-chain-broken`, `certificate-unreadable`
 */
export function issuerChainOf(pem: string, roots: readonly CertificateFacts[]): IssuerChain {
  const isRoot = (one: CertificateFacts): boolean =>
    roots.some(({ fingerprint }) => fingerprint === one.fingerprint);
  const [certificate, ...above] = splitPem(pem)
    .map((one) => readCertificate(one))
    .filter((one) => !isRoot(one));
  if (certificate === undefined) {
    throw new FlotillaError('ca-chain-broken', { detail: 'there is no issuer' });
  }
  const path = [certificate, ...above];
  const faults = new Set<string>();
  for (const root of roots) {
    const fault = issuerChainFault(path, root);
    if (fault === undefined) return { certificate, above, root, purpose: purposeOf(certificate) };
    faults.add(fault);
  }
  throw new FlotillaError('ca-chain-broken', {
    detail: `${certificate.fingerprint} is not signed by ${roots.map(({ fingerprint }) => fingerprint).join(' or ')}: ${[...faults].join('; ')}`,
  });
}

/**
 * The issuer of devices that are servers, which has no root above it. Only the service itself stores one: an imported
 * issuer always needs a root.
 */
function deviceServersChainOf(pem: string): IssuerChain | undefined {
  const [text] = splitPem(pem);
  const certificate = text === undefined ? undefined : readCertificate(text);
  return certificate === undefined || purposeOf(certificate) !== 'device-servers'
    ? undefined
    : { certificate, above: [], root: certificate, purpose: 'device-servers' };
}

/** An issuer with a server usage is not for devices, because a device must not be able to pose as a server. */
export function purposeOf({ extendedKeyUsage, issuer, subject }: CertificateFacts): IssuerPurpose {
  if (extendedKeyUsage.length === 0 || extendedKeyUsage.includes(oids.anyUsage)) return 'all';
  if (!extendedKeyUsage.includes(oids.serverAuth)) return 'devices';
  return issuer.equals(subject) ? 'device-servers' : 'services';
}

/**
 * An issuer that is newer than the one that signs, or that signed until it was withdrawn: it was created or imported,
 * and not activated yet. One that has ended does not count.
 */
export function waitingIssuer(
  inventory: CaInventory,
  purpose: SignedPurpose,
  nowMs: number,
): CertificateFacts | undefined {
  const { current, service, deviceServers, issuers, root, withdrawn } = inventory;
  const signing = signingIssuer(inventory, purpose)?.certificate;
  const before = signing === undefined ? withdrawn.filter((one) => isFor(one, purpose)) : [signing];
  const sinceMs = Math.max(0, ...before.map(({ notBeforeMs }) => notBeforeMs));
  return issuers.find(
    (one) =>
      one !== current &&
      one !== service &&
      one !== deviceServers &&
      (one.root === root || one.purpose === 'device-servers') &&
      one.purpose === purpose &&
      one.certificate.notAfterMs > nowMs &&
      // Beginnings are whole seconds: the issuer that waits may have that of the one that was withdrawn.
      (signing === undefined
        ? one.certificate.notBeforeMs >= sinceMs
        : one.certificate.notBeforeMs > sinceMs),
  )?.certificate;
}

/** The issuer that signs for a purpose now, if it has one of its own. */
export function signingIssuer(
  { current, service, deviceServers }: CaInventory,
  purpose: SignedPurpose,
): IssuerChain | undefined {
  return { devices: current, services: service, 'device-servers': deviceServers }[purpose];
}

function isFor(issuer: CertificateFacts, purpose: SignedPurpose): boolean {
  const own = purposeOf(issuer);
  return own === purpose || (own === 'all' && purpose !== 'device-servers');
}

/** The first 16 digits of a fingerprint, which name the folder of an issuer. @throws FlotillaError `issuer-not-found` */
export function issuerDigits(fingerprint: string): string {
  const digits = /^sha256:([0-9a-f]{16})[0-9a-f]{48}$/.exec(fingerprint)?.[1];
  if (digits === undefined) throw new FlotillaError('issuer-not-found', { detail: fingerprint });
  return digits;
}

/** The folders in a folder, sorted; none when it does not exist. */
export async function foldersIn(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).sort().map((name) => join(path, name));
  } catch {
    return [];
  }
}

async function storedCertificates(path: string): Promise<string[]> {
  const pems = await Promise.all(
    (await foldersIn(path)).map((folder) => readText(join(folder, 'cert.pem'))),
  );
  return pems.filter((pem) => pem !== undefined);
}

/** A crash while a root is replaced leaves the current one in the folder of another one. */
async function otherRoot(
  state: StateFolder,
  name: string,
  current: CertificateFacts,
): Promise<CertificateFacts | undefined> {
  const pem = await readText(join(state.ca.roots, name, 'cert.pem'));
  const root = pem === undefined ? undefined : readCertificate(pem);
  return root?.fingerprint === current.fingerprint ? undefined : root;
}

async function crossCertificates(state: StateFolder): Promise<CertificateFacts[]> {
  const found = new Map<string, CertificateFacts>();
  for (const name of [nextRoot, formerRoot]) {
    for (const pem of splitPem((await readText(join(state.ca.roots, name, 'cross.pem'))) ?? '')) {
      const one = readCertificate(pem);
      found.set(one.fingerprint, one);
    }
  }
  return [...found.values()];
}
