/**
 * The controller's side of agents: workers on other hosts, called over MQTT.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { OpenChannel, ChannelEvents } from '../worker/worker-pool.ts';
import type { DialIdentity } from '../device/dial.ts';
import { LightLink } from '../device/light-link.ts';
import type { BrokerAddress, CallMessage, WorkerMessage } from '../worker/protocol.ts';
import { replyTopic, callTopic, splitMessage, MessageAssembler } from './wire.ts';

/** An agent that sends nothing for this long during a run is considered lost. */
const silenceMaxMs = 20_000;
const silenceCheckMs = 2000;
const reconnectDelayMs = 500;

interface Agent {
  readonly events: ChannelEvents;
  readonly assembler: MessageAssembler;
  lastMessageMs: number;
}

export class AgentHub {
  readonly #broker: BrokerAddress;
  readonly #identity: DialIdentity;
  readonly #agents = new Map<string, Agent>();
  readonly #link: LightLink;
  readonly #session = randomBytes(4).toString('hex');
  readonly #watch: NodeJS.Timeout;
  #messageCount = 0;
  #closing = false;

  /** @param name the client id: the name in the certificate */
  constructor(name: string, identity: DialIdentity, broker: BrokerAddress) {
    this.#broker = broker;
    this.#identity = identity;
    this.#link = new LightLink(
      {
        clientId: name,
        mqtt: '5.0',
        kept: true,
        sessionExpirySeconds: 60,
        keepAliveSeconds: 15,
        connectTimeoutMs: 20_000,
      },
      {
        message: (topic, payload) => this.#receive(topic, payload),
        closed: () => this.#reconnectLater(),
      },
    );
    this.#watch = setInterval(() => this.#checkSilence(), silenceCheckMs);
  }

  /** Connects and subscribes to the replies of these agents. @throws LinkError, FlotillaError `sim-target-refused` */
  async start(agents: readonly string[]): Promise<void> {
    await this.#link.connect({ ...this.#broker, identity: this.#identity });
    for (const agent of agents) {
      const code = await this.#link.subscribe(replyTopic(agent), 1);
      if (code >= 0x80) {
        throw new FlotillaError('sim-target-refused', {
          detail: `the controller may not subscribe to ${replyTopic(agent)}`,
        });
      }
    }
  }

  /** The channel to one agent. */
  channelTo(agent: string): OpenChannel {
    return (events) => {
      this.#agents.set(agent, {
        events,
        assembler: new MessageAssembler(),
        lastMessageMs: performance.now(),
      });
      return {
        label: `agent ${agent}`,
        send: (message: CallMessage) => {
          for (const payload of splitMessage(message, `${this.#session}-${++this.#messageCount}`)) {
            this.#link.publish(callTopic(agent), payload, 1, false, (failure) => {
              if (failure !== undefined) events.ended(`could not send a call: ${failure}`);
            });
          }
        },
        kill: () => this.#agents.delete(agent),
      };
    };
  }

  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#watch);
    await this.#link.end();
  }

  #receive(topic: string, payload: Buffer): void {
    for (const [name, agent] of this.#agents) {
      if (topic !== replyTopic(name)) continue;
      agent.lastMessageMs = performance.now();
      const reply = agent.assembler.add(payload);
      if (isWorkerMessage(reply)) agent.events.message(reply);
    }
  }

  #checkSilence(): void {
    const nowMs = performance.now();
    for (const [name, agent] of this.#agents) {
      if (nowMs - agent.lastMessageMs < silenceMaxMs) continue;
      this.#agents.delete(name);
      agent.events.ended(`no message for ${silenceMaxMs / 1000} s`);
    }
  }

  #reconnectLater(): void {
    if (this.#closing) return;
    setTimeout(() => {
      if (this.#closing) return;
      this.#link
        .connect({ ...this.#broker, identity: this.#identity })
        .catch(() => this.#reconnectLater());
    }, reconnectDelayMs);
  }
}

/** Checks the shape of a reply. The caller of each call knows the type of its result. */
function isWorkerMessage(message: unknown): message is WorkerMessage {
  if (typeof message !== 'object' || message === null || !('kind' in message)) return false;
  if (message.kind === 'tick')
    return 'tick' in message && typeof message.tick === 'object' && message.tick !== null;
  return (
    (message.kind === 'result' || message.kind === 'error') &&
    'call' in message &&
    typeof message.call === 'number'
  );
}
