/**
 * Calls of administrators after the registry was restored from a backup.
 *
 * @module
 */
import {
  reconciledSchema,
  reconcileRequestSchema,
  reconcileSchema,
} from '../../../core/protocol/reconcile-api.ts';
import type { Reconciler } from '../../reconcile/reconciler.ts';
import { iso } from '../device-view.ts';
import { route, type HttpRoute } from '../route.ts';

const differencesMax = 1000;

export function reconcileRoutes(reconciler: Reconciler): HttpRoute[] {
  return [
    route({
      method: 'GET',
      path: '/v1/reconcile',
      summary: 'What brokers and the audit log know more than a registry that was restored',
      access: 'admin',
      response: reconcileSchema,
      async handle() {
        const differences = await reconciler.differences();
        return {
          brokers: reconciler.brokers.map(({ broker, known, sinceMs }) => ({
            broker,
            commit: known.commit,
            since: iso(sinceMs),
          })),
          differences: differences.slice(0, differencesMax),
          total: differences.length,
          brokersAbsent: [...reconciler.absent],
        };
      },
    }),
    route({
      method: 'POST',
      path: '/v1/reconcile',
      summary: 'Applies what differs again, or makes the brokers forget it',
      access: 'admin',
      body: reconcileRequestSchema,
      response: reconciledSchema,
      async handle({ body: { action, adopt, expected }, actor }) {
        const decision = { adopt: action === 'apply' ? adopt : undefined, expected };
        const done = await reconciler.decide(decision, actor);
        const { applied, skipped, left, failures, brokers } = done;
        return {
          applied,
          skipped,
          left: left.slice(0, differencesMax),
          failures: [...failures],
          brokers: [...brokers],
        };
      },
    }),
  ];
}
