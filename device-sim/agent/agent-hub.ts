/**
 * The controller's side: agents on other hosts as workers of a crew.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { OpenChannel, ChannelEvents } from '../worker/worker-pool.ts';
import type { DialIdentity } from '../device/dial.ts';
import { LightLink } from '../device/light-link.ts';
import type { BrokerAddress, CallMessage, WorkerMessage } from '../worker/protocol.ts';
import { answerTopic, callTopic, cut, Joiner } from './wire.ts';

/** An agent that says nothing for so long, while a run goes on, is given up. */
const silenceMaxMs = 20_000;
const watchMs = 2000;
const returnDelayMs = 500;

interface Agent {
  readonly events: ChannelEvents;
  readonly joiner: Joiner;
  lastWordMs: number;
}

export class AgentHub {
  readonly #broker: BrokerAddress;
  readonly #identity: DialIdentity;
  readonly #agents = new Map<string, Agent>();
  readonly #link: LightLink;
  readonly #session = randomBytes(4).toString('hex');
  readonly #watch: NodeJS.Timeout;
  #words = 0;
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
        message: (topic, payload) => this.#heard(topic, payload),
        closed: () => this.#comeBack(),
      },
    );
    this.#watch = setInterval(() => this.#lookForSilence(), watchMs);
  }

  /** Connects and listens to these agents. @throws LinkError, FlotillaError `sim-target-refused` */
  async start(agents: readonly string[]): Promise<void> {
    await this.#link.connect({ ...this.#broker, identity: this.#identity });
    for (const agent of agents) {
      const code = await this.#link.subscribe(answerTopic(agent), 1);
      if (code >= 0x80) {
        throw new FlotillaError('sim-target-refused', {
          detail: `the controller may not listen to ${answerTopic(agent)}`,
        });
      }
    }
  }

  /** The way to one agent. */
  port(agent: string): OpenChannel {
    return (events) => {
      this.#agents.set(agent, { events, joiner: new Joiner(), lastWordMs: performance.now() });
      return {
        label: `agent ${agent}`,
        send: (message: CallMessage) => {
          for (const payload of cut(message, `${this.#session}-${++this.#words}`)) {
            this.#link.publish(callTopic(agent), payload, 1, false, (failure) => {
              if (failure !== undefined) events.ended(`a call did not leave: ${failure}`);
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

  #heard(topic: string, payload: Buffer): void {
    for (const [name, agent] of this.#agents) {
      if (topic !== answerTopic(name)) continue;
      agent.lastWordMs = performance.now();
      const word = agent.joiner.add(payload);
      if (isWorkerMessage(word)) agent.events.message(word);
    }
  }

  #lookForSilence(): void {
    const nowMs = performance.now();
    for (const [name, agent] of this.#agents) {
      if (nowMs - agent.lastWordMs < silenceMaxMs) continue;
      this.#agents.delete(name);
      agent.events.ended(`no word for ${silenceMaxMs / 1000} s`);
    }
  }

  #comeBack(): void {
    if (this.#closing) return;
    setTimeout(() => {
      if (this.#closing) return;
      this.#link
        .connect({ ...this.#broker, identity: this.#identity })
        .catch(() => this.#comeBack());
    }, returnDelayMs);
  }
}

/** The shape of an answer; what stands in a result is the matter of the call that asked. */
function isWorkerMessage(word: unknown): word is WorkerMessage {
  if (typeof word !== 'object' || word === null || !('kind' in word)) return false;
  if (word.kind === 'tick')
    return 'tick' in word && typeof word.tick === 'object' && word.tick !== null;
  return (
    (word.kind === 'result' || word.kind === 'error') &&
    'call' in word &&
    typeof word.call === 'number'
  );
}
