/**
 * An operator as the policy sees one: an identity with a role and an address, without a certificate.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import type { OperatorSubject } from '../../core/protocol/broker-query.ts';
import type { Identity } from '../contracts/identity.ts';

export function operatorIdentity({ name, role, remoteAddress }: OperatorSubject): Identity {
  // The seam to the policy: an operator's name can have characters that no device id has. The policy does
  // not put such a value into a topic.
  const id = name as DeviceId;
  return {
    id,
    entry: { id, role, status: 'active', group: null, attributes: {}, certificates: [] },
    standing: 'full',
    serial: '',
    fingerprint: '',
    notAfterMs: Infinity,
    remoteAddress,
    tlsVersion: '',
    tlsResumed: false,
  };
}
