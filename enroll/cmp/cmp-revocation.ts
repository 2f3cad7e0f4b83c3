/** A device revokes itself over CMP (RFC 9483, 4.2), if the configuration allows it. @module */
import { readRevocation, revocationReply } from '../../certs/cmp-body.ts';
import { readCmp, type CmpMessage } from '../../certs/cmp-message.ts';
import { crlReasonCodes } from '../../certs/crl-entries.ts';
import type { Config } from '../../core/config/config.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { revocationReasons, type RevocationReason } from '../../core/protocol/enrollment-api.ts';
import type { DeviceActions } from '../devices/device-actions.ts';
import type { CmpSender } from './cmp-sender.ts';

export interface OwnRevocationDeps {
  readonly config: Config;
  readonly revocations: Pick<DeviceActions, 'revoke'>;
}

/**
 * Revokes the device whose certificate has signed the message, as `flotilla device revoke` does. Brokers have it in force
 * when this resolves.
 *
 * @returns RevRepContent, DER
 * @throws FlotillaError `cmp-revocation-refused`, `cmp-certificate-mismatch`, `cmp-malformed`, `operation-refused`,
 *   `registry-unavailable`
 */
export async function revokeOwn(
  { body }: CmpMessage,
  sender: CmpSender,
  { config, revocations }: OwnRevocationDeps,
): Promise<Buffer> {
  const wanted = readCmp(() => readRevocation(body));
  if (sender.kind !== 'identity' || sender.row.role !== 'device') {
    throw new FlotillaError('cmp-revocation-refused', { detail: 'only with its own certificate' });
  }
  if (!config.enroll.cmp.revocation) throw new FlotillaError('cmp-revocation-refused');
  const { row, facts } = sender;
  if (wanted.serial !== facts.serial || !wanted.issuer.equals(facts.issuer)) {
    throw new FlotillaError('cmp-certificate-mismatch');
  }
  await revocations.revoke([row.id], reasonOf(wanted.reasonCode), row.id);
  return revocationReply();
}

function reasonOf(code: number): RevocationReason {
  const reason = revocationReasons.find((name) => crlReasonCodes[name] === code);
  if (reason !== undefined) return reason;
  throw new FlotillaError('operation-refused', { detail: `the reason ${code} is not for devices` });
}
