/**
 * The context of the sessions and connections of other partitions: they belong to the system itself. Everything is
 * allowed, nothing has the limit of one identity, plug-ins and operators do not see them, and what they transfer is
 * not counted as messages of clients.
 *
 * @module
 */
import type { BrokerLimits } from '../../../core/config/limits.ts';
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import type { Verdict } from '../../../core/policy/policy-verdict.ts';
import type { Authorizer, SessionLimits } from '../../contracts/authorizer.ts';
import type { SessionEvents } from '../../contracts/session-layer.ts';
import { Hooks } from '../plugins/hooks.ts';
import { Counters, type SessionContext } from '../state/context.ts';
import { Rooms } from '../state/rooms.ts';

/** What a link may have in its buffers before messages wait in the queue. */
const outboundMaxBytes = 64 * 1024 * 1024;
/** How much larger a packet is than the one that was received from a client: a property and an identifier. */
const addedMaxBytes = 256 * 1024;
const packetEverMaxBytes = 268_435_455;

/** @param context that of the clients */
export function peerContext(context: SessionContext): SessionContext {
  const limits = peerLimits(context.limits);
  return {
    ...context,
    limits,
    authorizer: new PeerAuthorizer(context.authorizer),
    events: peerEvents(context.events),
    intercept: () => false,
    counters: new Counters(),
    rooms: new Rooms(limits),
    hooks: new Hooks(),
    announce: undefined,
  };
}

function peerLimits(limits: BrokerLimits): BrokerLimits {
  return {
    ...limits,
    packetMaxBytes: Math.min(packetEverMaxBytes, limits.packetMaxBytes + addedMaxBytes),
    queuePerSessionMaxMessages: Infinity,
    queuePerSessionMaxBytes: Infinity,
    queueQos0: false,
    outboundPerConnectionMaxBytes: outboundMaxBytes,
    // Each link has its own limit: they do not share one.
    outboundTotalMaxBytes: Infinity,
    inboundTotalMaxBytes: Infinity,
    topicsPerDeviceMaxBytes: Infinity,
  };
}

const allowed: Verdict = { allowed: true, rule: 'partition', always: true };
const unlimited: SessionLimits = {
  messagesPerSecond: 0,
  messagesBurst: 0,
  bytesPerSecond: 0,
  bytesBurst: 0,
  connectionsMax: 1,
  subscriptionsMax: Infinity,
  inflightMax: 65_535,
  queueMaxMessages: Infinity,
  queueMaxBytes: Infinity,
  queueOverflow: 'drop-newest',
  queueQos0: false,
  payloadMaxBytes: Infinity,
  retainedMax: Infinity,
  retainedMaxBytes: Infinity,
  sessionExpiryMaxSeconds: Infinity,
};

/** The other partition has authorized its clients already. */
class PeerAuthorizer implements Authorizer {
  readonly onDenied = 'drop';
  readonly #clients: Authorizer;

  constructor(clients: Authorizer) {
    this.#clients = clients;
  }

  /** A change of the policy changes the routes. */
  get version(): number {
    return this.#clients.version;
  }

  connect(): Verdict {
    return allowed;
  }

  publish(): Verdict {
    return allowed;
  }

  subscribe(): Verdict {
    return allowed;
  }

  receive(): boolean {
    return true;
  }

  limits(): SessionLimits {
    return unlimited;
  }
}

/** Operators learn what is lost or fails, and nothing of connections. */
function peerEvents(events: SessionEvents): SessionEvents {
  return {
    connected: () => undefined,
    disconnected: () => undefined,
    refused: () => undefined,
    denied: () => undefined,
    dropped: (identity, reason, messages) => events.dropped(identity, reason, messages),
    failed: (cause, error, message) => events.failed?.(cause, error, message),
    protocolViolated: ({ id: device }, code, detail) =>
      events.failed?.(
        { device },
        new FlotillaError(code, { detail }),
        'another partition violated the protocol',
      ),
  };
}
