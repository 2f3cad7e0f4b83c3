/**
 * The rights of an identity while it has no connection: decided from the directory of now, never from
 * what was true when it connected.
 *
 * @module
 */
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import type { DirectoryEntry } from '../../core/protocol/feed.ts';
import { isOtherIdentity } from '../../core/reused-name.ts';
import type { Identity } from '../contracts/identity.ts';
import type { IdentityRights, LeftBehind, RightsNow } from '../contracts/identity-rights.ts';
import { certificateOf, type DirectoryView } from '../feed/broker-directory.ts';
import type { IncidentHolds } from './incident-holds.ts';

export class CurrentRights implements IdentityRights {
  readonly #directory: DirectoryView;
  readonly #holds: Pick<IncidentHolds, 'apply'>;

  constructor(directory: DirectoryView, holds: Pick<IncidentHolds, 'apply'>) {
    this.#directory = directory;
    this.#holds = holds;
  }

  of(id: string, last: Identity | undefined, left: LeftBehind): RightsNow {
    if (!this.#directory.ready) return 'unknown';
    const entry = this.#directory.get(id);
    if (entry === undefined || isOtherIdentity(left.identityCreatedAtMs, entry.createdAtMs)) {
      return { code: 'device-removed' };
    }
    const lost = lostRight(entry, left.fingerprint ?? last?.fingerprint);
    if (lost !== undefined) return { code: lost };
    const standing = entry.status === 'quarantined' ? 'quarantined' : (last?.standing ?? 'full');
    const judgement = this.#holds.apply(id, { standing, notAfterMs: last?.notAfterMs ?? 0 });
    if ('code' in judgement) return judgement;
    return {
      identity: { ...(last ?? withoutConnection(entry)), entry, standing: judgement.standing },
    };
  }
}

/**
 * The end of a certificate is no lost right here: a device that is away cannot renew, and its will was set
 * while the certificate was valid.
 */
function lostRight(entry: DirectoryEntry, fingerprint: string | undefined): ErrorCode | undefined {
  if (entry.status === 'revoked') return 'device-revoked';
  if (entry.status === 'suspended') return 'device-suspended';
  if (fingerprint === undefined) return undefined;
  const certificate = certificateOf(entry, fingerprint);
  if (certificate === undefined) return 'certificate-unknown';
  return certificate.status === 'revoked' ? 'certificate-revoked' : undefined;
}

/** An identity that has not connected since the broker started. */
function withoutConnection(entry: DirectoryEntry): Identity {
  return {
    id: entry.id,
    entry,
    standing: 'full',
    serial: '',
    fingerprint: '',
    notAfterMs: 0,
    remoteAddress: '',
    tlsVersion: '',
    tlsResumed: false,
  };
}
