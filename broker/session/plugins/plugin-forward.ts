/**
 * `authorizeForward`: what plug-ins of Aedes let leave to one client.
 *
 * @module
 */
import type { AedesPublishPacket } from 'aedes';
import type { Qos } from '../../store/session-store.ts';
import { Message } from '../delivery/message.ts';
import { asAedesClient, type PluginTarget } from './plugin-client.ts';
import { emitterPacket } from './plugin-receiver.ts';
import type { Logger } from '../../../core/log.ts';
import type { Hooks } from './hooks.ts';

/** The message as the hook leaves it; undefined when it keeps it back, or throws. */
export function runForwardHook(
  { hooks, log }: { readonly hooks: Hooks; readonly log: Logger },
  client: PluginTarget,
  message: Message,
  qos: Qos,
  retain: boolean,
): Message | undefined {
  const packet = { ...emitterPacket(message), qos, retain } as AedesPublishPacket;
  try {
    const given = hooks.authorizeForward?.(asAedesClient(hooks.clientOf(client)), packet);
    if (given === null || given === undefined) return undefined;
    const { topic, payload } = given;
    return Message.from(topic, message.qos, message.retain, payload, message);
  } catch (error) {
    log.error({ err: error }, 'a plug-in failed on a message: it is not forwarded');
    return undefined;
  }
}
