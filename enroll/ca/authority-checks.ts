/**
 * Which certificates of the CA a person should look at, for `flotilla status` and `flotilla ca status`.
 *
 * @module
 */
import { checkExpiry } from '../../certs/expiry-warning.ts';
import type { CertificateFacts } from '../../certs/certificate.ts';
import { dayMs } from '../../core/config/duration.ts';
import type { CaInventory } from './ca-inventory.ts';

/**
 * Every device has to renew once before the root ends, to learn of the next one: this is two years of
 * certificates with the default validity.
 */
const rootWarningMs = 730 * dayMs;

export interface AuthorityCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** The ends of the roots and issuers. A former issuer that has ended needs no action: all its certificates ended too. */
export function authorityChecks(
  { root, next, former, current, service, deviceServers, issuers }: CaInventory,
  nowMs: number,
): AuthorityCheck[] {
  const others = issuers.filter((one) => ![current, service, deviceServers].includes(one));
  return [
    { name: 'root', ...rootCheck(root, next, nowMs) },
    ...(next === undefined ? [] : [{ name: 'root, next', ...checkExpiry(next, nowMs) }]),
    ...(former === undefined ? [] : [{ name: 'root, former', ...formerCheck(former, nowMs) }]),
    ...(current === undefined
      ? [{ name: 'issuer', ok: false, detail: 'there is none' }]
      : [{ name: 'issuer', ...checkExpiry(current.certificate, nowMs) }]),
    ...(service === undefined || service === current
      ? []
      : [{ name: 'issuer of services', ...checkExpiry(service.certificate, nowMs) }]),
    ...(deviceServers === undefined
      ? []
      : [{ name: 'issuer of device servers', ...checkExpiry(deviceServers.certificate, nowMs) }]),
    ...others.map(({ certificate }, at) => ({
      name: `issuer, former ${at + 1}`,
      ...formerCheck(certificate, nowMs),
    })),
  ];
}

function rootCheck(
  root: CertificateFacts,
  next: CertificateFacts | undefined,
  nowMs: number,
): Omit<AuthorityCheck, 'name'> {
  const { ok, detail } = checkExpiry(root, nowMs);
  const isLong = root.notAfterMs - nowMs > rootWarningMs || next !== undefined;
  return { ok: ok && isLong, detail: isLong ? detail : `${detail}: flotilla root rollover` };
}

function formerCheck(one: CertificateFacts, nowMs: number): Omit<AuthorityCheck, 'name'> {
  return { ok: true, detail: checkExpiry(one, nowMs).detail };
}

/** The roots whose lists and responders matter: all issuers of a root that has ended have ended too. */
export function livingRoots({ roots }: CaInventory, nowMs: number): readonly CertificateFacts[] {
  return roots.filter(({ notAfterMs }) => notAfterMs > nowMs);
}

/**
 * The certificates that answer OCSP requests about issuers. A CA can do without; when one ends, software that relies on
 * it fails.
 */
export function responderCheck(
  responders: readonly (CertificateFacts | undefined)[],
  nowMs: number,
): AuthorityCheck {
  const name = 'OCSP of issuers';
  const cure = 'flotilla root crl, with the key of the root';
  const there = responders.filter((one) => one !== undefined);
  const [first] = there.sort((one, other) => one.notAfterMs - other.notAfterMs);
  if (first === undefined) {
    return {
      name,
      ok: true,
      detail: `requests about issuers are not answered; to change this: ${cure}`,
    };
  }
  // As for CA certificates, because only the root can renew it.
  const { ok, detail } = checkExpiry({ ...first, isCa: true }, nowMs);
  return { name, ok, detail: ok ? detail : `${detail}: ${cure}` };
}
