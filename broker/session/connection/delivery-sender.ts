/**
 * Sends the messages of a session to its client: asks the plug-in, encodes the PUBLISH packet, and adds
 * it to the batch that leaves now or to the one that waits for the commit.
 *
 * @module
 */
import type { Qos } from '../../store/session-store.ts';
import { deliveryBytes, type DeliveryTarget } from '../delivery/delivery-bytes.ts';
import type { Message } from '../delivery/message.ts';
import type { OutboundDelivery } from '../delivery/packet-sink.ts';
import type { PluginTarget } from '../plugins/plugin-client.ts';
import { runForwardHook } from '../plugins/plugin-forward.ts';
import type { SessionContext } from '../state/context.ts';
import type { CommitGate } from './commit-gate.ts';

/** What the functions of this file need from the connection. */
export interface DeliveryConnection extends DeliveryTarget, PluginTarget {
  readonly context: SessionContext;
  /** Whether the connection accepts more bytes. */
  readonly hasRoom: boolean;
  /** Writes the packets that may leave. */
  flush(): void;
}

/** A larger batch is written before the turn ends. */
const batchMaxBytes = 256 * 1024;

/** Sends at QoS 0, or drops and counts the message. */
export function sendQos0(
  client: DeliveryConnection,
  gate: CommitGate,
  message: Message,
  retain: boolean,
  identifiers: readonly number[],
): void {
  const { clock, counters } = client.context;
  const allowed = allowedByPlugin(client, message, 0, retain);
  if (allowed === undefined) return dropped(client, 'not-allowed');
  if (!client.hasRoom) return dropped(client, 'outbound-full');
  const atOnce = gate.leavesAtOnce(false);
  // It waits longer than the bytes that were read are valid.
  if (!atOnce) allowed.detach();
  const encoded = deliveryBytes(client, allowed, false, identifiers, clock, atOnce);
  if (encoded === undefined) return dropped(client, 'too-large');
  counters.messagesOut[0]++;
  const batch = gate.batchFor(false);
  if (retain) batch.addPatched(encoded.bytes, encoded.start, encoded.end, 0, 0x31, 0);
  else batch.add(encoded.bytes, encoded.start, encoded.end);
  // A large batch is written before the turn ends, so that the client does not look slow.
  if (batch.bytes > batchMaxBytes) client.flush();
}

/**
 * Sends at QoS 1 or 2.
 *
 * @param afterCommit whether the packet must wait until the store has committed
 * @returns why it was not sent
 */
export function sendWithPacketId(
  client: DeliveryConnection,
  gate: CommitGate,
  delivery: OutboundDelivery,
  packetId: number,
  afterCommit: boolean,
): 'too-large' | 'not-allowed' | undefined {
  const { qos, retain, identifiers } = delivery;
  const { clock, counters } = client.context;
  const allowed = allowedByPlugin(client, delivery.message, qos, retain);
  if (allowed === undefined) return 'not-allowed';
  const atOnce = gate.leavesAtOnce(afterCommit);
  if (!atOnce) allowed.detach();
  const encoded = deliveryBytes(client, allowed, true, identifiers, clock, atOnce);
  if (encoded === undefined) return 'too-large';
  counters.messagesOut[qos]++;
  const firstByte = 0x30 | (qos << 1) | (retain ? 1 : 0) | (delivery.packetId === 0 ? 0 : 8);
  const { bytes, start, end, packetIdAt } = encoded;
  gate.batchFor(afterCommit).addPatched(bytes, start, end, packetIdAt, firstByte, packetId);
  return undefined;
}

/** The message as a plug-in lets it pass to this client; undefined if it does not. */
function allowedByPlugin(
  client: DeliveryConnection,
  message: Message,
  qos: Qos,
  retain: boolean,
): Message | undefined {
  if (client.context.hooks.authorizeForward === undefined) return message;
  return runForwardHook(client.context, client, message, qos, retain);
}

function dropped(
  client: DeliveryConnection,
  reason: 'outbound-full' | 'too-large' | 'not-allowed',
): void {
  client.context.events.dropped(client.identity, reason, 1);
}
