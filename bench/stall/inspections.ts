/**
 * Questions of operators about sessions and messages, for the measurement of turns.
 *
 * @module
 */
import { operatorIdentity } from '../../broker/queries/operator-identity.ts';
import type { StallWorld } from './stall-world.ts';

/** The longest lists that an operator can ask a broker for. */
export function inspections(): readonly (readonly [
  string,
  (world: StallWorld) => Promise<unknown>,
])[] {
  const limit = 1000;
  const subject = { name: 'operator', role: 'service', remoteAddress: '127.0.0.1' };
  return [
    [
      '1,000 of 5,000 connections',
      ({ layer }) => layer.inspection.connections({ kind: 'connections', limit }),
    ],
    [
      '1,000 of 5,000 sessions',
      ({ layer }) => layer.inspection.sessions({ kind: 'sessions', sort: 'clientId', limit }),
    ],
    [
      'the longest queues of 5,000 sessions',
      ({ layer }) => layer.inspection.sessions({ kind: 'sessions', sort: 'queue', limit }),
    ],
    [
      '1,000 of 100,000 retained messages',
      ({ layer }) => layer.inspection.retained(operatorIdentity(subject), { prefix: '', limit }),
    ],
  ];
}
