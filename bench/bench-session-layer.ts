/**
 * The session layer alone, with an authorizer that allows everything: what is measured is the session layer.
 *
 * @module
 */
import type { Authorizer, SessionLimits } from '../broker/contracts/authorizer.ts';
import type { SessionStore } from '../broker/store/session-store.ts';
import { createSessionLayer, type MqttSessionLayer } from '../broker/session/mqtt-session-layer.ts';
import { storeLimits } from '../broker/store/open-store.ts';
import { systemClock } from '../core/clock.ts';
import { checkConfig } from '../core/config/config.ts';
import { createLog } from '../core/log.ts';
import type { Verdict } from '../core/policy/policy-verdict.ts';
import { inflightWindow } from './peers.ts';
import { uncheckedRights } from './unchecked-identity.ts';

const config = checkConfig({
  limits: {
    broker: {
      inflightOutMax: inflightWindow,
      queuePerSessionMaxMessages: 1_000_000,
      queuePerSessionMaxBytes: 512 * 1024 * 1024,
    },
  },
});
const limits = config.limits.broker;
const yes: Verdict = { allowed: true, rule: 'all', always: true };
const sessionLimits: SessionLimits = {
  messagesPerSecond: 0,
  messagesBurst: 0,
  bytesPerSecond: 0,
  bytesBurst: 0,
  connectionsMax: 1000,
  subscriptionsMax: limits.subscriptionsPerSessionMax,
  inflightMax: limits.inflightOutMax,
  queueMaxMessages: limits.queuePerSessionMaxMessages,
  queueMaxBytes: limits.queuePerSessionMaxBytes,
  queueOverflow: 'drop-oldest',
  queueQos0: false,
  payloadMaxBytes: limits.packetMaxBytes,
  retainedMax: limits.retainedMax,
  retainedMaxBytes: limits.retainedTotalMaxBytes,
  sessionExpiryMaxSeconds: limits.sessionExpiryMaxSeconds,
};
const authorizer: Authorizer = {
  version: 1,
  connect: () => yes,
  publish: () => yes,
  subscribe: () => yes,
  receive: () => true,
  limits: () => sessionLimits,
  onDenied: 'close',
};

/** The options of a store for {@link openBenchLayer}. */
export const benchStoreOptions = { limits: storeLimits(limits), clock: systemClock };

/** @param store the caller closes it after the layer */
export function openBenchLayer(store: SessionStore): Promise<MqttSessionLayer> {
  return createSessionLayer(config, {
    authorizer,
    events: {
      connected() {},
      disconnected() {},
      refused() {},
      denied() {},
      dropped() {},
    },
    intercept: () => false,
    rights: uncheckedRights,
    clock: systemClock,
    log: createLog({ level: 'error' }),
    store,
  });
}
