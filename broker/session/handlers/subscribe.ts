/**
 * SUBSCRIBE: each filter judged on its own, answered by SUBACK, then the retained messages.
 *
 * @module
 */
import type { ErrorCode } from '../../../core/errors/catalogue.ts';
import { filterWithoutShare, splitShared, topicFilterFault } from '../../../core/topic.ts';
import type { ClientConnection } from '../connection/connection.ts';
import { runSubscribeHook } from './plugin-hooks.ts';
import { sendRetained } from './retained.ts';
import type { Session } from '../state/session.ts';
import { addSubscription } from '../state/subscriptions.ts';
import { suback } from '../wire/answers.ts';
import { protocolError } from '../wire/fault.ts';
import { PacketReader } from '../wire/reader.ts';
import { reasonOf } from '../wire/reasons.ts';
import { readSubscribe, type Subscribe, type SubscribeRequest } from '../wire/subscribe.ts';
import type { SubscriptionRecord } from '../../store/session-store.ts';

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
  else runSubscribeHook(client, packet, (answers) => subscribe(client, session, packet, answers));
}

/** @param answers the requests as they stand now, in their order; undefined where a plug-in refused */
function subscribe(
  client: ClientConnection,
  session: Session,
  { packetId, identifier, requests }: Subscribe,
  answers: readonly (SubscribeRequest | undefined)[],
): void {
  const { context } = client;
  const { publisher } = client.host;
  const { hooks } = context;
  const codes: number[] = [];
  const granted: SubscriptionRecord[] = [];
  const retained: SubscriptionRecord[] = [];
  for (const [index, asked] of requests.entries()) {
    const request = answers[index] ?? asked;
    const shared = splitShared(request.filter);
    if (request.noLocal && shared !== undefined && client.isMqtt5) {
      throw protocolError('[MQTT-3.8.3-4] No Local on a shared subscription');
    }
    const code =
      answers[index] === undefined ? 'plug-in-refused' : rejectionOf(client, session, request);
    if (code !== undefined) {
      context.events.denied(client.identity, 'subscribe', request.filter, code);
      codes.push(client.isMqtt5 ? reasonOf(code, 'suback') : 0x80);
      continue;
    }
    const known = session.subscriptions.has(request.filter);
    const record: SubscriptionRecord = { ...request, identifier };
    // [MQTT-3.3.1-9], -10, -11; never for shared ones.
    const wanted =
      shared === undefined &&
      (request.retainHandling === 0 || (request.retainHandling === 1 && !known));
    // Before it is routed to: else what comes now would come twice.
    if (wanted) context.events.retainedRequested?.(request.filter);
    addSubscription(context, publisher, session, record);
    codes.push(request.qos); // [MQTT-3.9.3-1], [MQTT-3.8.4-7]
    granted.push(record);
    if (wanted) retained.push(record);
  }
  client.sendAfterCommit(suback(client.isMqtt5 ? 5 : 4, packetId, codes)); // [MQTT-3.8.4-1], -2, -6
  if (hooks.hasListeners.subscribe && granted.length > 0) {
    const told = granted.map(({ filter, qos }) => ({ topic: filter, qos }));
    hooks.emit('subscribe', told, hooks.clientOf(client));
  }
  for (const record of retained) sendRetained(client, session, record);
}

/** Undefined: granted. */
function rejectionOf(
  client: ClientConnection,
  session: Session,
  request: SubscribeRequest,
): ErrorCode | undefined {
  const { authorizer, limits } = client.context;
  const { filter, qos } = request;
  const { topicMaxBytes, topicLevelsMax, subscriptionsPerSessionMax } = limits;
  const fault = topicFilterFault(filter, { maxBytes: topicMaxBytes, levelsMax: topicLevelsMax });
  if (fault !== undefined) return 'topic-filter-invalid';
  const max = Math.min(
    subscriptionsPerSessionMax,
    authorizer.limits(client.identity).subscriptionsMax,
  );
  if (!session.subscriptions.has(filter) && session.subscriptions.size >= max) {
    return 'subscriptions-too-many';
  }
  const verdict = authorizer.subscribe(client.identity, filterWithoutShare(filter), qos);
  return verdict.allowed ? undefined : verdict.code;
}
