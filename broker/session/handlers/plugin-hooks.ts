/**
 * What plug-ins of Aedes are asked and told about one connection. A hook may answer later: nothing
 * more of that connection is read until it did, so that order holds, and others are not held up.
 *
 * @module
 */
import type { PublishPacket, Subscription } from 'aedes';
import type { ClientConnection } from '../connection/connection.ts';
import { pauseReasons } from '../connection/connection-reader.ts';
import { callHook, type HookResult, type Reply } from '../plugins/hooks.ts';
import { Message } from '../delivery/message.ts';
import { asAedesClient } from '../plugins/plugin-client.ts';
import { emitterPacket } from '../plugins/plugin-receiver.ts';
import type { Qos } from '../../store/session-store.ts';
import type { Connect } from '../wire/connect.ts';
import type { Subscribe, SubscribeRequest } from '../wire/subscribe.ts';

/** How long a hook may think, in ms; then its connection ends. CONNECT has its own time limit. */
export const hookTimeoutMs = 10_000;

/** `preConnect`, then `authenticate`. What they change in the packet changes nothing. */
export function runConnectHook(
  client: ClientConnection,
  connect: Connect,
  clientId: string,
  answered: (allowed: boolean) => void,
): void {
  const { hooks } = client.context;
  const { preConnect, authenticate } = hooks;
  const plugInClient = asAedesClient(hooks.clientOf(client));
  const { will, version, clean, keepAliveSeconds, userName, password } = connect;
  const packet = {
    cmd: 'connect',
    clientId,
    protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
    protocolVersion: version,
    clean,
    keepalive: keepAliveSeconds,
    ...(userName === undefined ? {} : { username: userName }),
    ...(password === undefined ? {} : { password: Buffer.from(password) }),
    ...(will === undefined
      ? {}
      : {
          will: {
            topic: will.topic,
            payload: Buffer.from(will.payload),
            qos: will.qos,
            retain: will.retain,
          },
        }),
  } as const;
  const yes = ({ error, value }: HookResult<boolean | null>): boolean =>
    error === undefined && value === true;
  const identify = (): void => {
    if (authenticate === undefined) return answered(true);
    wait<boolean | null>(
      client,
      (reply) => authenticate(plugInClient, userName, packet.password, reply),
      (answer) => answered(yes(answer)),
    );
  };
  if (preConnect === undefined) return identify();
  wait<boolean>(
    client,
    (reply) => preConnect(plugInClient, packet, reply),
    (answer) => (yes(answer) ? identify() : answered(false)),
  );
}

/** `authorizePublish`: the message as the hook leaves it; undefined when it refuses. */
export function runPublishHook(
  client: ClientConnection,
  message: Message,
  packetId: number,
  answered: (allowed: Message | undefined) => void,
): void {
  const { hooks } = client.context;
  const { authorizePublish } = hooks;
  if (authorizePublish === undefined) return answered(message);
  const packet: PublishPacket = {
    ...emitterPacket(message),
    ...(message.qos === 0 ? {} : { messageId: packetId }),
  };
  wait(
    client,
    (reply) => authorizePublish(asAedesClient(hooks.clientOf(client)), packet, reply),
    ({ error }) => answered(error === undefined ? changed(message, packet) : undefined),
  );
}

/** `authorizeSubscribe`, filter by filter: with the QoS that it leaves; undefined where it refuses. */
export function runSubscribeHook(
  client: ClientConnection,
  { requests }: Subscribe,
  answered: (answers: readonly (SubscribeRequest | undefined)[]) => void,
): void {
  const { hooks } = client.context;
  const answers: (SubscribeRequest | undefined)[] = [];
  const next = (): void => {
    const request = requests[answers.length];
    const { authorizeSubscribe } = hooks;
    if (request === undefined || authorizeSubscribe === undefined) {
      return answered([...answers, ...requests.slice(answers.length)]);
    }
    const subscription: Subscription = { topic: request.filter, qos: request.qos };
    wait<Subscription | null>(
      client,
      (reply) => authorizeSubscribe(asAedesClient(hooks.clientOf(client)), subscription, reply),
      ({ error, value }) => {
        const given = error === undefined && value !== null && value !== undefined;
        answers.push(given ? { ...request, qos: lower(value.qos, request.qos) } : undefined);
        next();
      },
    );
  };
  next();
}

/** `connackSent`. */
export function emitConnack(
  client: ClientConnection,
  returnCode: number,
  sessionPresent: boolean,
): void {
  const { hooks } = client.context;
  const packet = { cmd: 'connack', returnCode, reasonCode: returnCode, sessionPresent };
  hooks.emit('connackSent', packet, hooks.clientOf(client));
}

/** `ping`. */
export function emitPing(client: ClientConnection): void {
  const { hooks } = client.context;
  hooks.emit('ping', { cmd: 'pingreq' }, hooks.clientOf(client));
}

/** `ack`: a delivery came to its end. Of the message only the packet id is known by then. */
export function emitAck(client: ClientConnection, messageId: number, qos: 1 | 2): void {
  const { hooks } = client.context;
  const packet = qos === 1 ? { cmd: 'publish', messageId, qos } : { cmd: 'pubrel', messageId };
  hooks.emit('ack', packet, hooks.clientOf(client));
}

/** Asks; while there is no answer yet the connection is not read. */
function wait<T>(
  client: ClientConnection,
  call: (reply: Reply<T>) => void,
  answered: (answer: HookResult<T>) => void,
): void {
  let now: HookResult<T> | undefined;
  let later = false;
  let cancel = (): void => undefined;
  callHook<T>(call, (answer) => {
    if (!later) {
      now = answer;
      return;
    }
    cancel();
    client.reader.resumeWith(pauseReasons.plugIn, () => answered(answer));
  });
  if (now !== undefined) return answered(now);
  later = true;
  client.reader.pause(pauseReasons.plugIn);
  if (client.session === undefined) return;
  const { clock, log } = client.context;
  cancel = clock.after(hookTimeoutMs, () => {
    log.error({ device: client.identity.id }, 'a plug-in did not answer in time');
    client.close('internal');
  });
}

/** The message as a hook left its packet. */
function changed(message: Message, packet: PublishPacket): Message {
  const { topic, payload, qos, retain } = packet;
  return Message.from(topic, lower(qos, message.qos), retain, payload, message);
}

/** A hook may lower a QoS: raising it would promise what the other side does not keep. */
function lower(asked: number, most: Qos): Qos {
  return asked >= most ? most : asked === 1 ? 1 : 0;
}
