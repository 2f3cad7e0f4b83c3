/**
 * SUBSCRIBE: each filter is authorized by itself, then SUBACK and the retained messages are sent.
 *
 * @module
 */
import type { ErrorCode } from '../../../core/errors/catalogue.ts';
import { filterWithoutShare, splitShared, topicFilterFault } from '../../../core/topic.ts';
import type { ClientConnection } from '../connection/connection.ts';
import type { ReceiverConfirmation } from '../delivery/receiver-confirmation.ts';
import { runSubscribeHook } from './plugin-hooks.ts';
import type { Session } from '../state/session.ts';
import { addSubscription, subscriptionAmount } from '../state/subscriptions.ts';
import { suback } from '../wire/answers.ts';
import { protocolError } from '../wire/fault.ts';
import { PacketReader } from '../wire/reader.ts';
import { reasonOf } from '../wire/reasons.ts';
import { readSubscribe, type Subscribe, type SubscribeRequest } from '../wire/subscribe.ts';
import type { SubscriptionRecord } from '../../store/session-store.ts';

/** The return code of a denied filter on 3.1.1. */
const failure = 0x80;

export function onSubscribe(
  client: ClientConnection,
  session: Session,
  bytes: Buffer,
  body: number,
  end: number,
): void {
  const { hooks, limits } = client.context;
  const reader = new PacketReader(bytes, body, end);
  const packet = readSubscribe(reader, client.isMqtt5, limits.subscriptionsPerPacketMax);
  if (hooks.authorizeSubscribe === undefined) subscribe(client, session, packet, packet.requests);
  else runSubscribeHook(client, packet, (allowed) => subscribe(client, session, packet, allowed));
}

/** @param allowed the requests in order, as a plug-in changed them; undefined if it refused one */
function subscribe(
  client: ClientConnection,
  session: Session,
  { packetId, identifier, requests }: Subscribe,
  allowed: readonly (SubscribeRequest | undefined)[],
): void {
  const { events, hooks, announce } = client.context;
  const codes: number[] = [];
  const granted: SubscriptionRecord[] = [];
  const confirmations: ReceiverConfirmation[] = [];
  const retained: SubscriptionRecord[] = [];
  for (const [index, requested] of requests.entries()) {
    const request = allowed[index] ?? requested;
    assertNoLocalAllowed(client, request);
    const code =
      allowed[index] === undefined ? 'plug-in-refused' : rejectionOf(client, session, request);
    if (code !== undefined) {
      events.denied(client.identity, 'subscribe', request.filter, code);
      codes.push(client.isMqtt5 ? reasonOf(code, 'suback') : failure);
      continue;
    }
    const record: SubscriptionRecord = { ...request, identifier };
    const sendsRetained = wantsRetained(session, request);
    // Before the router has the subscription: a message published now would otherwise be sent twice.
    if (sendsRetained) events.retainedRequested?.(request.filter);
    addSubscription(client.context, client.host.publisher, session, record);
    const confirmation = announce?.(request.filter);
    if (confirmation !== undefined) confirmations.push(confirmation);
    codes.push(request.qos); // [MQTT-3.9.3-1], [MQTT-3.8.4-7]
    granted.push(record);
    if (sendsRetained) retained.push(record);
  }
  const stored = session.kept && granted.length > 0;
  if (confirmations.length > 0 && !client.awaitConfirmations(confirmations)) return;
  client.sendAfterCommit(suback(client.isMqtt5 ? 5 : 4, packetId, codes), stored); // [MQTT-3.8.4-1], -2, -6
  if (hooks.hasListeners.subscribe && granted.length > 0) {
    const subscriptions = granted.map(({ filter, qos }) => ({ topic: filter, qos }));
    hooks.emit('subscribe', subscriptions, hooks.clientOf(client));
  }
  client.whenConfirmed(() => client.host.retainedSender.send(client, session, retained));
}

function assertNoLocalAllowed(client: ClientConnection, request: SubscribeRequest): void {
  if (request.noLocal && client.isMqtt5 && splitShared(request.filter) !== undefined) {
    throw protocolError('[MQTT-3.8.3-4] No Local on a shared subscription');
  }
}

/** Retain Handling [MQTT-3.3.1-9], -10, -11. A shared subscription never gets retained messages. */
function wantsRetained(session: Session, { filter, retainHandling }: SubscribeRequest): boolean {
  if (splitShared(filter) !== undefined) return false;
  return retainHandling === 0 || (retainHandling === 1 && !session.subscriptions.has(filter));
}

/** Whether the session, its identity and the broker may have one more subscription. */
function hasRoomFor(client: ClientConnection, session: Session, filter: string): boolean {
  const { authorizer, limits, rooms } = client.context;
  const { subscriptionsMax } = authorizer.limits(client.identity);
  const ownMax = Math.min(limits.subscriptionsPerSessionMax, subscriptionsMax);
  if (session.subscriptions.size >= ownMax) return false;
  const share = {
    id: session.identityId,
    max: Math.max(limits.subscriptionsPerDeviceMax, ownMax),
    maxBytes: limits.subscriptionsTotalMaxBytes,
  };
  return rooms.subscriptions.refusal(share, subscriptionAmount(filter)) === undefined;
}

/** @returns why the subscription is denied; undefined if it is granted */
function rejectionOf(
  client: ClientConnection,
  session: Session,
  { filter, qos }: SubscribeRequest,
): ErrorCode | undefined {
  const { authorizer, limits, store } = client.context;
  const { topicMaxBytes, topicLevelsMax } = limits;
  const fault = topicFilterFault(filter, { maxBytes: topicMaxBytes, levelsMax: topicLevelsMax });
  if (fault !== undefined) return 'topic-filter-invalid';
  if (!session.subscriptions.has(filter) && !hasRoomFor(client, session, filter)) {
    return 'subscriptions-too-many';
  }
  if (session.kept && store.stalled !== undefined) return 'store-stalled';
  const verdict = authorizer.subscribe(client.identity, filterWithoutShare(filter), qos);
  return verdict.allowed ? undefined : verdict.code;
}
