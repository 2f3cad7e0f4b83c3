/**
 * Keeps the CA able to issue, as far as the key of the root is here: creates the issuer of services where there is
 * none, and replaces issuers before they end.
 *
 * An installation of the first version has one issuer for everything. It gets an issuer for devices and one for
 * services; the former issuer stays trusted. Devices that have its certificate accept servers of the new issuer,
 * because they trust the root and servers send their issuer.
 *
 * An enrollment profile with names of servers needs the issuer of devices that are servers, which needs no root.
 *
 * @module
 */
import type { CertificateFacts } from '../../certs/certificate.ts';
import { renewalDueMs } from '../../certs/renewal-time.ts';
import { dayMs } from '../../core/config/duration.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import { activateIssuer, createIssuer, issuersMax } from './ca-folder.ts';
import {
  readCaInventory,
  waitingIssuer,
  type CaInventory,
  type SignedPurpose,
} from './ca-inventory.ts';
import type { CaDeps } from './root-authority.ts';
import { ensureRootCrl } from './root-crl.ts';
import { ensureRootResponders } from './root-responder.ts';

/** An operator is warned 180 days before the end; this late the service acts. */
const lateMs = 30 * dayMs;

/** Which issuers the configuration needs besides the usual ones. */
export interface NeededByProfiles {
  readonly deviceServers: boolean;
}

/** An issuer that was created here. */
export interface AddedIssuer {
  readonly issuer: CertificateFacts;
  readonly purpose: SignedPurpose;
}

/**
 * Creates the issuers that are necessary, and signs the root's list and the certificates of OCSP responders that are
 * missing or due. Failures are in the log: the
 * key of the root may be stored elsewhere.
 *
 * @throws FlotillaError `ca-missing`, `ca-chain-broken`
 */
export async function upkeepCa(
  state: StateFolder,
  passphrase: string,
  deps: CaDeps,
  log: Logger,
  wanted: NeededByProfiles,
): Promise<readonly AddedIssuer[]> {
  const inventory = await readCaInventory(state);
  const added: AddedIssuer[] = [];
  for (const purpose of neededIssuers(inventory, deps.clock.now(), wanted)) {
    try {
      const issuer =
        waitingIssuer(inventory, purpose, deps.clock.now()) ??
        (await createIssuer(state, passphrase, deps, purpose));
      await activateIssuer(state, issuer.fingerprint, purpose);
      added.push({ issuer, purpose });
      log.info({ fingerprint: issuer.fingerprint, purpose }, 'issuer created');
    } catch (error) {
      if (isFlotillaError(error, 'root-key-missing')) {
        const message = 'an issuer is needed, and the key of the root is elsewhere';
        log.warn({ code: error.code, purpose }, message);
      } else if (isFlotillaError(error, 'root-expired')) {
        log.warn({ code: error.code, purpose }, 'an issuer is needed, and the root has ended');
      } else log.warn({ err: error, purpose }, 'could not create an issuer');
    }
  }
  await ensureRootCrl(state, passphrase, deps).catch((error: unknown) => {
    const what = isFlotillaError(error, 'root-key-missing') ? { code: error.code } : { err: error };
    log.warn(what, 'the root has no usable CRL; other software may reject every device');
  });
  await ensureRootResponders(state, passphrase, deps).catch((error: unknown) => {
    // Requests about issuers are optional, and an offline root is usual.
    if (isFlotillaError(error, 'root-key-missing')) return;
    log.warn({ err: error }, 'OCSP requests about issuers cannot be answered');
  });
  return added;
}

/** Which issuers have to be created now. */
export function neededIssuers(
  inventory: CaInventory,
  nowMs: number,
  wanted: NeededByProfiles,
): readonly SignedPurpose[] {
  const { root, current, service, deviceServers, issuers, unsigned } = inventory;
  const alive = issuers.filter(({ certificate }) => certificate.notAfterMs > nowMs);
  if (alive.length >= issuersMax) return unsigned;
  const needed: SignedPurpose[] = [];
  // Its own CA replaces an external issuer.
  const isExternal = current?.isExternal === true;
  // Another issuer would end with the root, and no later than this one.
  const isLast = ({ notAfterMs }: CertificateFacts): boolean =>
    nowMs < notAfterMs && notAfterMs >= root.notAfterMs;
  const isEnding = (issuer: CertificateFacts): boolean => isLate(issuer, nowMs) && !isLast(issuer);
  if (current === undefined || (!isExternal && isEnding(current.certificate))) {
    needed.push('devices');
  } else if (!isExternal && current.purpose === 'all' && isOwn(current.certificate)) {
    needed.push('devices');
  }
  // An issuer that an operator supplied for everything stays.
  const isSupplied =
    current?.purpose === 'all' && !isOwn(current.certificate) && !unsigned.includes('services');
  const isDue = (issuer: CertificateFacts): boolean =>
    isServiceDue(issuer, nowMs) && !isLast(issuer);
  if (service === undefined ? !isSupplied : isDue(service.certificate)) {
    needed.push('services');
  }
  const isMissing = deviceServers === undefined || isLate(deviceServers.certificate, nowMs);
  if (isMissing && (wanted.deviceServers || unsigned.includes('device-servers'))) {
    needed.push('device-servers');
  }
  return needed;
}

/** Nobody has to learn of a new issuer of services in advance: servers send it. */
function isServiceDue(service: CertificateFacts, nowMs: number): boolean {
  return nowMs >= renewalDueMs(service.notBeforeMs, service.notAfterMs) || isLate(service, nowMs);
}

function isLate({ notAfterMs }: CertificateFacts, nowMs: number): boolean {
  return notAfterMs - nowMs < lateMs;
}

/** Whether this software created the issuer. */
function isOwn({ x509 }: CertificateFacts): boolean {
  return x509.subject.startsWith('CN=Flotilla Issuing CA ');
}
