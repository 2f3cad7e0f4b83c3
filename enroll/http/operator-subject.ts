/**
 * The role of the policy that an operator has when it publishes, watches or reads messages: a viewer reads
 * like a service, operators and administrators act like an administrator's own tools.
 *
 * @module
 */
import type { OperatorSubject } from '../../core/protocol/broker-query.ts';
import type { OperatorCaller } from '../operators/caller.ts';

export function subjectOf(operator: OperatorCaller, remoteAddress: string): OperatorSubject {
  return {
    name: operator.name,
    role: operator.role === 'viewer' ? 'service' : 'admin',
    remoteAddress,
  };
}
