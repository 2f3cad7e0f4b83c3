/**
 * Runs the hooks and emits the events of Aedes plug-ins for one connection. A hook may answer later:
 * until then the connection is not read, so that the order is kept. Other connections are not delayed.
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

/** The timeout of a hook in ms; then the connection is closed. CONNECT has its own timeout. */
export const hookTimeoutMs = 10_000;

/** Runs `preConnect`, then `authenticate`. Changes that they make to the packet have no effect. */
export function runConnectHook(
  client: ClientConnection,
  connect: Connect,
  clientId: string,
  answered: (allowed: boolean) => void,
): void {
  const { hooks } = client.context;
  const { preConnect, authenticate } = hooks;
  const pluginClient = asAedesClient(hooks.clientOf(client));
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
  const isAllowed = ({ error, value }: HookResult<boolean | null>): boolean =>
    error === undefined && value === true;
  const runAuthenticate = (): void => {
    if (authenticate === undefined) return answered(true);
    wait<boolean | null>(
      client,
      (reply) => authenticate(pluginClient, userName, packet.password, reply),
      (answer) => answered(isAllowed(answer)),
    );
  };
  if (preConnect === undefined) return runAuthenticate();
  wait<boolean>(
    client,
    (reply) => preConnect(pluginClient, packet, reply),
    (answer) => (isAllowed(answer) ? runAuthenticate() : answered(false)),
  );
}

/** Runs `authorizePublish`: the result is the message as the hook changed it; undefined if it refused. */
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

/**
 * Runs `authorizeSubscribe` for each filter: the result is the request with the QoS that the hook allows;
 * undefined if it refused.
 */
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
        const isAllowed = error === undefined && value !== null && value !== undefined;
        answers.push(isAllowed ? { ...request, qos: lower(value.qos, request.qos) } : undefined);
        next();
      },
    );
  };
  next();
}

/** Emits `connackSent`. */
export function emitConnack(
  client: ClientConnection,
  returnCode: number,
  sessionPresent: boolean,
): void {
  const { hooks } = client.context;
  const packet = { cmd: 'connack', returnCode, reasonCode: returnCode, sessionPresent };
  hooks.emit('connackSent', packet, hooks.clientOf(client));
}

/** Emits `ping`. */
export function emitPing(client: ClientConnection): void {
  const { hooks } = client.context;
  hooks.emit('ping', { cmd: 'pingreq' }, hooks.clientOf(client));
}

/** Emits `ack`: a delivery is complete. Only its packet id is still known. */
export function emitAck(client: ClientConnection, messageId: number, qos: 1 | 2): void {
  const { hooks } = client.context;
  const packet = qos === 1 ? { cmd: 'publish', messageId, qos } : { cmd: 'pubrel', messageId };
  hooks.emit('ack', packet, hooks.clientOf(client));
}

/** Calls a hook. The connection is not read until it has answered. */
function wait<T>(
  client: ClientConnection,
  call: (reply: Reply<T>) => void,
  answered: (answer: HookResult<T>) => void,
): void {
  let immediate: HookResult<T> | undefined;
  let isWaiting = false;
  let cancel = (): void => undefined;
  callHook<T>(call, (answer) => {
    if (!isWaiting) {
      immediate = answer;
      return;
    }
    cancel();
    client.reader.resumeWith(pauseReasons.plugIn, () => answered(answer));
  });
  if (immediate !== undefined) return answered(immediate);
  isWaiting = true;
  client.reader.pause(pauseReasons.plugIn);
  if (client.session === undefined) return;
  const { clock, events } = client.context;
  cancel = clock.after(hookTimeoutMs, () => {
    const cause = { device: client.identity.id };
    events.failed?.(cause, undefined, 'a plug-in did not answer in time');
    client.close('internal');
  });
}

/** The message with the changes that a hook made to its packet. */
function changed(message: Message, packet: PublishPacket): Message {
  const { topic, payload, qos, retain } = packet;
  return Message.from(topic, lower(qos, message.qos), retain, payload, message);
}

/** A hook may lower a QoS. It cannot raise it: the other side would not keep that promise. */
function lower(requested: number, max: Qos): Qos {
  return requested >= max ? max : requested === 1 ? 1 : 0;
}
