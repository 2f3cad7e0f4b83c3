/**
 * The state of the CA for operators. It needs no passphrase and no running service, so that it works also when the
 * service cannot start.
 *
 * @module
 */
import { basename, join } from 'node:path';
import type { CertificateFacts } from '../../certs/certificate.ts';
import { isPkcs11Uri } from '../../certs/pkcs11-uri.ts';
import type { CaStatus } from '../../core/protocol/ca-status.ts';
import { subjectText } from '../../core/subject-text.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import {
  authorityChecks,
  livingRoots,
  responderCheck,
  type AuthorityCheck,
} from './authority-checks.ts';
import { isExternalKey, readText } from './ca-files.ts';
import {
  foldersIn,
  formerRoot,
  issuerDigits,
  nextRoot,
  purposeOf,
  readCaInventory,
  type CaInventory,
} from './ca-inventory.ts';
import { readRootCrl, unlistedIssuers, type RootCrl } from './root-crl.ts';
import { readRootResponder } from './root-responder.ts';

type Root = CaStatus['root'];

/** Describes the CA. @throws FlotillaError `ca-missing`, `ca-chain-broken`, `certificate-unreadable` */
export async function caReport(state: StateFolder, nowMs: number): Promise<CaStatus> {
  const inventory = await readCaInventory(state);
  const { root, next, former, current, service, deviceServers, issuers, withdrawn } = inventory;
  const lists = await Promise.all(inventory.roots.map((one) => readRootCrl(state, one)));
  const { ca } = state;
  const roots: Root[] = [
    rootView(root, 'current', await keyPlace(ca.rootKey), lists[0]),
    ...(await otherRoots(state, next, former, lists.slice(1))),
  ];
  const unlisted = inventory.roots.flatMap((one, at) => unlistedIssuers(inventory, one, lists[at]));
  const responders = await Promise.all(
    livingRoots(inventory, nowMs).map((one) => readRootResponder(state, one)),
  );
  const checks = [
    ...authorityChecks(inventory, nowMs),
    ...listChecks(inventory, lists, unlisted),
    responderCheck(responders, nowMs),
  ];
  return {
    root: roots[0] ?? rootView(root, 'current', 'elsewhere', undefined),
    roots,
    issuers: await Promise.all(
      issuers.map(async (one) => ({
        ...authorityView(one.certificate),
        purpose: one.purpose,
        current: [current, service, deviceServers].includes(one),
        key: await issuerKeyPlace(state, one.certificate),
        root: one.root.fingerprint,
        above: one.above.map(({ x509 }) => subjectText(x509)),
      })),
    ),
    withdrawn: withdrawn.map((one) => ({
      ...authorityView(one),
      // No root has signed the issuer of devices that are servers.
      onRootCrl: purposeOf(one) !== 'device-servers' && !unlisted.includes(one),
    })),
    requests: (await foldersIn(ca.requests)).map((folder) => basename(folder)),
    ok: checks.every(({ ok }) => ok),
    checks,
  };
}

async function otherRoots(
  { ca }: StateFolder,
  next: CertificateFacts | undefined,
  former: CertificateFacts | undefined,
  lists: readonly (RootCrl | undefined)[],
): Promise<Root[]> {
  const rest = [...lists];
  const views: Root[] = [];
  for (const [root, name] of [
    [next, nextRoot],
    [former, formerRoot],
  ] as const) {
    if (root === undefined) continue;
    const key = await keyPlace(join(ca.roots, name, 'key.pem'));
    views.push(rootView(root, name, key, rest.shift()));
  }
  return views;
}

/** Without its list, other software that checks a whole chain refuses every device. */
function listChecks(
  { roots }: CaInventory,
  lists: readonly (RootCrl | undefined)[],
  unlisted: readonly CertificateFacts[],
): AuthorityCheck[] {
  const without = roots.filter((_root, at) => lists[at] === undefined);
  const detail = [
    ...without.map(({ fingerprint }) => `${fingerprint} has no CRL`),
    ...unlisted.map(({ fingerprint }) => `withdrawn issuer ${fingerprint} is not on it`),
  ].join('; ');
  return [
    {
      name: 'CRL of the root',
      ok: detail === '',
      detail: detail === '' ? 'complete' : `${detail}: flotilla root crl, with the key of the root`,
    },
  ];
}

function rootView(
  root: CertificateFacts,
  state: Root['state'],
  key: Root['key'],
  list: RootCrl | undefined,
): Root {
  const crlThisUpdate = list === undefined ? null : new Date(list.thisUpdateMs).toISOString();
  return { ...authorityView(root), state, key, crlThisUpdate };
}

function authorityView({ fingerprint, x509, notBeforeMs, notAfterMs }: CertificateFacts): {
  fingerprint: string;
  name: string;
  notBefore: string;
  notAfter: string;
} {
  return {
    fingerprint,
    name: subjectText(x509),
    notBefore: new Date(notBeforeMs).toISOString(),
    notAfter: new Date(notAfterMs).toISOString(),
  };
}

async function issuerKeyPlace(
  { ca }: StateFolder,
  { fingerprint }: CertificateFacts,
): Promise<CaStatus['issuers'][number]['key']> {
  const text = await readText(join(ca.issuers, issuerDigits(fingerprint), 'key.pem'));
  if (text === undefined) return 'file';
  if (isExternalKey(text)) return 'external';
  return isPkcs11Uri(text) ? 'token' : 'file';
}

async function keyPlace(file: string): Promise<Root['key']> {
  const text = await readText(file);
  if (text === undefined) return 'elsewhere';
  return isPkcs11Uri(text) ? 'token' : 'file';
}
