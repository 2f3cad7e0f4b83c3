/**
 * Checks the audit log and the registry, and whether they agree with each other and with the certificates of the
 * state folder.
 *
 * @module
 */
import { join } from 'node:path';
import type { CertificateFacts } from '../../certs/certificate.ts';
import { amountText } from '../../core/amount-text.ts';
import type { FindingList } from '../../core/integrity/finding.ts';
import { identityFiles, type StateFolder } from '../../core/state-folder.ts';
import { verifyAudit, type AuditVerdict } from '../../enroll/audit/audit-reader.ts';
import { readManifest } from '../../enroll/registry/manifest.ts';
import { checkRegistry, type CheckedRegistry } from '../../enroll/registry/registry-check.ts';
import type { KnownToRegistry } from './directory-comparison.ts';

/** What the files of the enrollment service contain. */
export interface CheckedEnrollFiles extends KnownToRegistry {
  /** Whether rows are missing because files are damaged. */
  readonly isIncomplete: boolean;
  readonly parts: readonly { readonly name: string; readonly detail: string }[];
}

/**
 * @param own the certificates of the state folder by the name of their identity
 */
export async function checkEnrollFiles(
  state: StateFolder,
  own: ReadonlyMap<string, CertificateFacts>,
  findings: FindingList,
): Promise<CheckedEnrollFiles> {
  const { registry, audit } = state.enroll;
  // In this order: see registry-check.ts.
  const noted = await readManifest(registry).catch(() => undefined);
  const verdict = await verifyAudit(audit, noted?.audit).catch((error: unknown) => {
    findings.addError(error, audit, 'audit-missing');
    return undefined;
  });
  const checked = await checkRegistry(registry, noted, findings);
  if (verdict !== undefined) compare(state, verdict, checked, findings);
  const { rows, rowCount, number, isIncomplete } = checked;
  if (!isIncomplete) checkOwn(state, own, checked, findings);
  return {
    isIncomplete,
    device: (id) => rows.row('devices', id),
    isRevoked: (serial) => rows.row('revocations', serial) !== undefined,
    parts: [
      {
        name: 'audit log',
        detail: `${amountText(verdict?.lines ?? 0, 'line')} in ${amountText(verdict?.files ?? 0, 'file')}`,
      },
      { name: 'registry', detail: `${amountText(rowCount, 'row')}, commit ${number}` },
    ],
  };
}

function compare(
  { enroll }: StateFolder,
  { ok, fault, lines, commit }: AuditVerdict,
  { number, isIncomplete }: CheckedRegistry,
  findings: FindingList,
): void {
  if (!ok) {
    const where = fault?.line === 0 ? '' : `line ${fault?.line ?? 0}: `;
    findings.add('audit-damaged', fault?.file ?? enroll.audit, `${where}${fault?.reason ?? ''}`);
  } else if (lines === 0 && number > 1) {
    findings.add('audit-missing', enroll.audit, `the registry has commit ${number}`);
  }
  if (commit > number && !isIncomplete) {
    const detail = `the registry has commit ${number}, the audit log has commit ${commit}`;
    findings.add('registry-behind-audit', enroll.registry, detail);
  }
}

/** An active identity of the state folder can connect only if the registry has its certificate. */
function checkOwn(
  state: StateFolder,
  own: ReadonlyMap<string, CertificateFacts>,
  { rows, number }: CheckedRegistry,
  findings: FindingList,
): void {
  if (own.has('enrollment') && number === 0) {
    findings.add('registry-missing', state.enroll.registry, 'it has no commit');
  }
  const folders = [
    ['admin', state.admin],
    ['broker', state.broker.identity],
  ] as const;
  for (const [id, folder] of folders) {
    const certificate = own.get(id);
    const row = rows.row('devices', id);
    // One that an operator suspended, revoked or deleted stays as it is.
    if (certificate === undefined || row?.status !== 'active') continue;
    const known = row.certificates.find((one) => one.fingerprint === certificate.fingerprint);
    if (known?.status === 'active') continue;
    const reason = known === undefined ? 'the registry does not have it' : `it is ${known.status}`;
    const path = join(identityFiles(folder).cert);
    findings.add('certificate-unknown', path, `certificate ${certificate.serial}: ${reason}`);
  }
}
