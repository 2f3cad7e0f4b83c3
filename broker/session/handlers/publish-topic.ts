/**
 * The topic of a PUBLISH: read from its bytes, or looked up by its alias.
 *
 * @module
 */
import { isUtf8 } from 'node:buffer';
import { topicNameFault } from '../../../core/topic.ts';
import type { ClientConnection } from '../connection/connection.ts';
import { CachedTopic, TopicCache } from '../connection/topic-cache.ts';
import { malformed, ProtocolFault, protocolError } from '../wire/fault.ts';
import type { PublishFields } from '../wire/publish.ts';

/** The topic of a packet: its name, or what its alias stands for. @throws ProtocolFault */
export function topicOf(
  client: ClientConnection,
  bytes: Buffer,
  fields: PublishFields,
): CachedTopic {
  const { topicStart, topicEnd, properties } = fields;
  return properties === undefined || properties.topicAlias < 0
    ? namedTopic(client, bytes, topicStart, topicEnd)
    : aliasedTopic(client, properties.topicAlias, bytes, topicStart, topicEnd);
}

function topicCacheOf(client: ClientConnection): TopicCache {
  const { rooms } = client.context;
  return (client.topicCache ??= new TopicCache(
    rooms.topics,
    rooms.topicShareOf(client.identity.id),
  ));
}

/** The topic whose name is in `bytes` from `start` to `end`. @throws ProtocolFault */
function namedTopic(
  client: ClientConnection,
  bytes: Buffer,
  start: number,
  end: number,
): CachedTopic {
  const cache = topicCacheOf(client);
  const cached = cache.find(bytes, start, end);
  if (cached !== undefined) return cached;
  const name = Buffer.from(bytes.subarray(start, end));
  // [MQTT-1.5.4-1], [MQTT-1.5.4-2] are checked here: decoding would hide them from topicNameFault.
  if (!isUtf8(name)) throw malformed('[MQTT-1.5.4-1] ill-formed UTF-8 in the topic');
  if (name.includes(0)) throw malformed('[MQTT-1.5.4-2] U+0000 in the topic');
  if (name.length === 0 && client.isMqtt5) {
    throw protocolError('[MQTT-3.3.2-8] a zero length topic without an alias');
  }
  const topic = name.toString('utf8');
  const { topicMaxBytes, topicLevelsMax } = client.context.limits;
  const fault = topicNameFault(topic, { maxBytes: topicMaxBytes, levelsMax: topicLevelsMax });
  // [MQTT-3.3.2-2] no wildcards; [MQTT-4.7.3-1] not empty.
  if (fault !== undefined) throw new ProtocolFault('topic-name-invalid', `the topic is ${fault}`);
  const added = new CachedTopic(topic, name, client.host.publisher.route(topic));
  cache.add(added);
  return added;
}

/** [MQTT-3.3.2-7] to -11: an alias with a topic name is set; an alias without one is looked up. */
function aliasedTopic(
  client: ClientConnection,
  alias: number,
  bytes: Buffer,
  start: number,
  end: number,
): CachedTopic {
  if (alias === 0 || alias > client.context.limits.topicAliasesMax) {
    throw new ProtocolFault('topic-alias-invalid', `[MQTT-3.3.2-9] topic alias ${alias}`);
  }
  if (end > start) {
    const topic = namedTopic(client, bytes, start, end);
    if (!topicCacheOf(client).setAlias(alias, topic.topic)) {
      throw new ProtocolFault('memory-share-used', 'no room for a topic alias');
    }
    return topic;
  }
  const topic = client.topicCache?.alias(alias);
  // A Protocol Error by section 3.3.2.3.4: the alias was never set.
  if (topic === undefined) throw protocolError(`[MQTT-3.3.2-8] topic alias ${alias} is not set`);
  const name = Buffer.from(topic);
  return namedTopic(client, name, 0, name.length);
}
