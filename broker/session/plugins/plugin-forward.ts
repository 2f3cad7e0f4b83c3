/**
 * Runs the `authorizeForward` hook of Aedes plug-ins for one message and one client.
 *
 * @module
 */
import type { AedesPublishPacket } from 'aedes';
import type { Qos } from '../../store/session-store.ts';
import { Message } from '../delivery/message.ts';
import { asAedesClient, type PluginTarget } from './plugin-client.ts';
import { emitterPacket } from './plugin-receiver.ts';
import type { SessionEvents } from '../../contracts/session-layer.ts';
import type { Hooks } from './hooks.ts';

/** The message as the hook changed it; undefined if it refused or threw. */
export function runForwardHook(
  { hooks, events }: { readonly hooks: Hooks; readonly events: SessionEvents },
  client: PluginTarget,
  message: Message,
  qos: Qos,
  retain: boolean,
): Message | undefined {
  const packet = { ...emitterPacket(message), qos, retain } as AedesPublishPacket;
  try {
    const allowed = hooks.authorizeForward?.(asAedesClient(hooks.clientOf(client)), packet);
    if (allowed === null || allowed === undefined) return undefined;
    const { topic, payload } = allowed;
    return Message.from(topic, message.qos, message.retain, payload, message);
  } catch (error) {
    events.failed?.(
      { device: client.identity.id },
      error,
      'a plug-in failed in authorizeForward: the message is not sent to this client',
    );
    return undefined;
  }
}
