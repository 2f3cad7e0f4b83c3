/**
 * `POST /v1/devices/{id}/commands`: publishes a command for a device and waits for its reply.
 *
 * Devices with MQTT 5.0 get a response topic and correlation data, which they send back. Others reply on
 * `devices/{id}/replies/{name}` or `devices/{id}/replies`.
 *
 * @module
 */
import { z } from 'zod';
import { deviceIdSchema } from '../../../core/protocol/device-id-schema.ts';
import { FlotillaError, isFlotillaError } from '../../../core/errors/flotilla-error.ts';
import {
  publishPayloadMaxBytes,
  type BrokerAnswerOf,
  type BrokerQuery,
  type OperatorSubject,
} from '../../../core/protocol/broker-query.ts';
import { commandRequestSchema, commandResultSchema } from '../../../core/protocol/operator-api.ts';
import type { DeviceId } from '../../../core/device-id.ts';
import { subjectOf } from '../operator-subject.ts';
import { route, type HttpRoute } from '../route.ts';
import {
  assertSignedIn,
  brokerTimeoutMs,
  oneBroker,
  type BrokerRouteDeps,
} from './broker-routes.ts';

/** Commands of one operator that wait for a reply at the same time. */
const waitingPerOperatorMax = 8;

export function commandRoutes(deps: BrokerRouteDeps): HttpRoute[] {
  const waiting = new Map<string, number>();
  return [
    route({
      method: 'POST',
      path: '/v1/devices/:id/commands',
      summary:
        'Publishes a command for a device, if the policy allows it to the operator, and waits for the reply',
      access: 'operator',
      params: z.strictObject({ id: deviceIdSchema }),
      body: commandRequestSchema,
      bodyMaxBytes: 2 * publishPayloadMaxBytes + 4096,
      response: commandResultSchema,
      async handle({ params: { id }, body, operator, actor, remoteAddress }) {
        const caller = assertSignedIn(operator);
        if (deps.table.get(id) === undefined) throw new FlotillaError('device-not-found');
        const payload = Buffer.from(body.payload, body.encoding);
        if (payload.length > publishPayloadMaxBytes) {
          throw new FlotillaError('request-too-large', {
            detail: `the payload has at most ${publishPayloadMaxBytes} bytes`,
          });
        }
        const own = waiting.get(caller.name) ?? 0;
        if (own >= waitingPerOperatorMax) {
          throw new FlotillaError('too-many-requests', {
            retryAfterSeconds: 1,
            detail: `${own} commands of ${caller.name} wait for a reply`,
          });
        }
        waiting.set(caller.name, own + 1);
        try {
          const subject = subjectOf(caller, remoteAddress);
          return await sendCommand(deps, { id, subject, actor, ...body, payload });
        } finally {
          const left = (waiting.get(caller.name) ?? 1) - 1;
          if (left === 0) waiting.delete(caller.name);
          else waiting.set(caller.name, left);
        }
      },
    }),
  ];
}

interface Command {
  readonly id: DeviceId;
  readonly subject: OperatorSubject;
  readonly actor: string;
  readonly name: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly waitSeconds: number;
}

async function sendCommand(
  deps: BrokerRouteDeps,
  { id, subject, actor, name, payload, qos, waitSeconds }: Command,
): Promise<z.infer<typeof commandResultSchema>> {
  const { audit, feed, presence, refused } = deps;
  // The broker of the device: the reply is published there.
  const [connectedTo] = presence.brokersOf(id);
  const broker = connectedTo ?? oneBroker(feed, undefined);
  const topic = `devices/${id}/commands/${name}`;
  const responseTopic = `devices/${id}/replies/${name}`;
  const { remoteAddress } = subject;
  const line = { actor, device: id, remoteAddress };
  const detail = { topic: topic.slice(0, 256), qos, bytes: payload.length, broker };
  const query = {
    kind: 'command' as const,
    subject,
    topic,
    payload: payload.toString('base64'),
    qos,
    replyTopics: [responseTopic, `devices/${id}/replies`],
    waitSeconds,
  } satisfies BrokerQuery;
  try {
    const { reply, matchedBy, afterMs } = await askCommand(deps, broker, query, () =>
      audit.append({ action: 'message-published', ...line, detail: { ...detail, command: true } }),
    );
    const connected = connectedTo !== undefined;
    return { broker, topic, responseTopic, connected, reply, matchedBy, afterMs };
  } catch (error) {
    if (isFlotillaError(error, 'message-denied')) {
      const denied = { ...detail, code: 'publish-denied', stage: 'publish', count: 1 };
      await refused.append({ action: 'access-refused', actor, remoteAddress, detail: denied });
    }
    throw error;
  }
}

/**
 * Asks the broker, which answers once when it has published the command and once with the reply.
 *
 * @param published called when the broker has published it
 * @throws FlotillaError as `BrokerQueries.follow`
 */
async function askCommand(
  { queries }: BrokerRouteDeps,
  broker: DeviceId,
  query: Extract<BrokerQuery, { kind: 'command' }>,
  published: () => Promise<unknown>,
): Promise<BrokerAnswerOf<'command'>> {
  let audited: Promise<unknown> | undefined;
  const answer = await new Promise<BrokerAnswerOf<'command'>>((resolve, reject) => {
    let last: BrokerAnswerOf<'command'> | undefined;
    queries.follow(broker, query, {
      timeoutMs: query.waitSeconds * 1000 + brokerTimeoutMs,
      part(part) {
        last = part;
        audited ??= published();
        // A failure is reported below, when the reply is there.
        audited.catch(() => undefined);
      },
      done(error) {
        if (error !== undefined) reject(error);
        else if (last === undefined) reject(new FlotillaError('broker-no-answer'));
        else resolve(last);
      },
    });
  });
  await audited;
  return answer;
}
