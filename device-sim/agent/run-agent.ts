/**
 * An agent: a worker on another host, steered over the fleet's own MQTT. It is a device like any
 * other, with its own certificate; the broker's policy decides who may send it commands.
 *
 * What it does not do, whoever asks: hand out private keys, or read files of its host.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import type { DialIdentity } from '../device/dial.ts';
import { LinkError } from '../device/link.ts';
import { MqttJsLink } from '../device/mqttjs-link.ts';
import { targetError } from '../device/probe.ts';
import type { HostPort } from '../fleet/target.ts';
import { handleCall, callNames } from '../worker/answer.ts';
import type { CallName, WorkerMessage } from '../worker/protocol.ts';
import { Worker } from '../worker/worker.ts';
import { answerTopic, callTopic, cut, Joiner } from './wire.ts';

export interface AgentOptions {
  /** Its device id, which is in its certificate. */
  readonly name: string;
  readonly identity: DialIdentity;
  readonly mqtts: HostPort;
  /** PEM of what is trusted at the broker. */
  readonly ca: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Calls that only a worker on the controller's own host takes. */
const atHomeOnly: readonly CallName[] = ['load', 'adopt', 'credentials', 'observe'];
const agentCalls = callNames.filter((name) => !atHomeOnly.includes(name));

const callSchema = z.strictObject({
  call: z.int().min(1),
  name: z.enum(agentCalls),
  params: z.record(z.string(), z.unknown()),
});
const replaySchema = z.object({
  plan: z.object({
    fleet: z.array(
      z.object({ publish: z.array(z.object({ payload: z.object({ kind: z.string() }) })) }),
    ),
  }),
});

const returnDelayMs = 1000;

/**
 * Serves controllers until the signal aborts.
 *
 * @throws FlotillaError `sim-target-unreachable`, `sim-target-untrusted`, `sim-target-refused` when the
 *   first connection fails; later ones are tried again
 */
export async function runAgent(options: AgentOptions): Promise<void> {
  const { name, identity, mqtts, ca, log, signal } = options;
  const joiner = new Joiner();
  let worker: Worker | undefined;
  let words = 0;
  const say = (message: WorkerMessage): void => {
    for (const payload of cut(message, `${session}-${++words}`)) {
      link.publish(answerTopic(name), payload, 1, false, (failure) => {
        if (failure !== undefined) log.warn({ failure }, 'an answer did not leave');
      });
    }
  };
  const session = randomBytes(4).toString('hex');
  const take = async (payload: Buffer): Promise<void> => {
    const word = callSchema.safeParse(joiner.add(payload));
    if (!word.success) return;
    const call = word.data;
    if (call.name === 'setup') {
      const plan = replaySchema.safeParse(call.params);
      const kinds = plan.success
        ? plan.data.plan.fleet.flatMap(({ publish }) =>
            publish.map(({ payload: { kind } }) => kind),
          )
        : ['unreadable'];
      if (kinds.some((kind) => kind === 'replay' || kind === 'unreadable')) {
        say({
          kind: 'error',
          call: call.call,
          code: 'sim-phase-unsupported',
          message: 'an agent reads no files: no payload of kind replay',
        });
        return;
      }
      await worker?.close();
      worker = undefined;
      log.info('a controller begins a run');
    }
    worker ??= new Worker((tick) => say({ kind: 'tick', tick }));
    say(await handleCall(worker, call));
    if (call.name === 'close') {
      worker = undefined;
      log.info('the run has ended');
    }
  };
  const link = new MqttJsLink(
    {
      clientId: name,
      mqtt: '5.0',
      // A short loss of the connection must not cost a call or a tick.
      kept: true,
      sessionExpirySeconds: 60,
      keepAliveSeconds: 15,
      connectTimeoutMs: 20_000,
    },
    {
      message: (topic, payload) => {
        if (topic === callTopic(name)) void take(payload);
      },
      closed: ({ reason }) => {
        if (signal.aborted) return;
        log.warn({ reason }, 'the connection to the broker ended');
        comeBack();
      },
    },
  );
  const connect = async (): Promise<void> => {
    const { sessionPresent } = await link.connect({ ...mqtts, ca, identity });
    if (sessionPresent) return;
    const code = await link.subscribe(callTopic(name), 1);
    if (code >= 0x80) {
      throw new FlotillaError('sim-target-refused', {
        detail: `${name} may not subscribe to ${callTopic(name)}`,
      });
    }
  };
  const comeBack = (): void => {
    setTimeout(() => {
      if (!signal.aborted) connect().catch(() => comeBack());
    }, returnDelayMs);
  };
  try {
    await connect();
  } catch (error) {
    throw error instanceof LinkError ? targetError(`${mqtts.host}:${mqtts.port}`, error) : error;
  }
  log.info({ agent: name }, 'the agent waits for a controller');
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await worker?.close();
  await link.end();
}
