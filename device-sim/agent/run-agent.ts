/**
 * An agent: a worker on another host that the controller calls over the fleet's own MQTT. It is a
 * device like any other, with its own certificate; the broker's policy decides who may send it
 * commands.
 *
 * An agent never reveals private keys and never reads files of its host, whoever asks.
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
import { callNames, handleCall } from '../worker/answer.ts';
import type { CallName, WorkerMessage } from '../worker/protocol.ts';
import { Worker } from '../worker/worker.ts';
import { callTopic, MessageAssembler, replyTopic, splitMessage } from './wire.ts';

export interface AgentOptions {
  /** Its device id, which is the name in its certificate. */
  readonly name: string;
  readonly identity: DialIdentity;
  readonly mqtts: HostPort;
  /** PEM of the certificates that are trusted at the broker. */
  readonly ca: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Calls that only a worker on the controller's own host accepts. */
const localOnlyCalls: readonly CallName[] = ['load', 'adopt', 'credentials', 'observe'];
const agentCalls = callNames.filter((name) => !localOnlyCalls.includes(name));

const callSchema = z.strictObject({
  call: z.int().min(1),
  name: z.enum(agentCalls),
  params: z.record(z.string(), z.unknown()),
});
type AgentCall = z.output<typeof callSchema>;

const payloadKindsSchema = z.object({
  plan: z.object({
    fleet: z.array(
      z.object({ publish: z.array(z.object({ payload: z.object({ kind: z.string() }) })) }),
    ),
  }),
});

const reconnectDelayMs = 1000;

/**
 * Serves controllers until the signal aborts.
 *
 * @throws FlotillaError `sim-target-unreachable`, `sim-target-untrusted`, `sim-target-refused` when the
 *   first connection fails; later ones are retried
 */
export async function runAgent(options: AgentOptions): Promise<void> {
  const { name, mqtts, log, signal } = options;
  const agent = new AgentSession(options);
  try {
    await agent.connect();
  } catch (error) {
    throw error instanceof LinkError ? targetError(`${mqtts.host}:${mqtts.port}`, error) : error;
  }
  log.info({ device: name }, 'the agent is ready for a controller');
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await agent.close();
}

/** The connection of an agent, and the worker of the run that it takes part in. */
class AgentSession {
  readonly #options: AgentOptions;
  readonly #link: MqttJsLink;
  readonly #assembler = new MessageAssembler();
  readonly #session = randomBytes(4).toString('hex');
  #messageCount = 0;
  #worker: Worker | undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
    const { name, log, signal } = options;
    this.#link = new MqttJsLink(
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
          if (topic === callTopic(name)) void this.#receive(payload);
        },
        closed: ({ reason }) => {
          if (signal.aborted) return;
          log.warn({ device: name, code: reason }, 'the connection to the broker ended');
          this.#reconnectLater();
        },
      },
    );
  }

  /** @throws LinkError; FlotillaError `sim-target-refused` when it may not receive calls */
  async connect(): Promise<void> {
    const { name, mqtts, ca, identity } = this.#options;
    const { sessionPresent } = await this.#link.connect({ ...mqtts, ca, identity });
    if (sessionPresent) return;
    const code = await this.#link.subscribe(callTopic(name), 1);
    if (code < 0x80) return;
    throw new FlotillaError('sim-target-refused', {
      detail: `${name} may not subscribe to ${callTopic(name)}`,
    });
  }

  async close(): Promise<void> {
    await this.#worker?.close();
    await this.#link.end();
  }

  async #receive(payload: Buffer): Promise<void> {
    const parsed = callSchema.safeParse(this.#assembler.add(payload));
    if (!parsed.success) return;
    const call = parsed.data;
    const { log } = this.#options;
    if (call.name === 'setup') {
      if (readsFiles(call)) {
        this.#send({
          kind: 'error',
          call: call.call,
          code: 'sim-phase-unsupported',
          message: 'an agent reads no files: payloads of kind replay are not supported',
        });
        return;
      }
      await this.#worker?.close();
      this.#worker = undefined;
      log.info('a controller started a run');
    }
    this.#worker ??= new Worker((tick) => this.#send({ kind: 'tick', tick }));
    this.#send(await handleCall(this.#worker, call));
    if (call.name !== 'close') return;
    this.#worker = undefined;
    log.info('the run has ended');
  }

  #send(message: WorkerMessage): void {
    const { name, log } = this.#options;
    for (const payload of splitMessage(message, `${this.#session}-${++this.#messageCount}`)) {
      this.#link.publish(replyTopic(name), payload, 1, false, (failure) => {
        if (failure !== undefined)
          log.warn({ device: name, code: failure }, 'could not send a reply');
      });
    }
  }

  #reconnectLater(): void {
    setTimeout(() => {
      if (!this.#options.signal.aborted) this.connect().catch(() => this.#reconnectLater());
    }, reconnectDelayMs);
  }
}

/** Whether the plan of a `setup` call has payloads from files, or cannot be read. */
function readsFiles(call: AgentCall): boolean {
  const parsed = payloadKindsSchema.safeParse(call.params);
  return (
    !parsed.success ||
    parsed.data.plan.fleet.some(({ publish }) =>
      publish.some(({ payload }) => payload.kind === 'replay'),
    )
  );
}
