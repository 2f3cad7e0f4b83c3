/**
 * Answers the questions of the enrollment service: what is connected, what waits, and what an operator
 * publishes or watches. The policy decides about messages as it does for a client of the operator's role.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { enrollmentAgent } from '../../core/protocol/enrollment-agent.ts';
import type { Clock } from '../../core/clock.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import {
  brokerQuerySchema,
  type BrokerAnswerOf,
  type BrokerQuery,
  type OperatorSubject,
  type QueryReply,
} from '../../core/protocol/broker-query.ts';
import type { QueryLine } from '../../core/protocol/feed.ts';
import { callJson } from '../../core/protocol/https-client.ts';
import { topicFilterFault, topicNameFault } from '../../core/topic.ts';
import { z } from 'zod';
import type { Verdict } from '../../core/policy/policy-verdict.ts';
import type { BrokerMessage, SessionLayer } from '../contracts/session-layer.ts';
import type { Directory } from '../feed/broker-directory.ts';
import type { FeedCredentials } from '../feed/feed-client.ts';
import { explain, type Question } from '../../core/policy/explanation.ts';
import { policySubjectOf, type PolicyAuthorizer } from '../policy/policy-authorizer.ts';
import { PolicyReader } from '../../core/policy/policy-reader.ts';
import type { BrokerLimits } from '../../core/config/limits.ts';
import type { PolicySource } from '../policy/policy-source.ts';
import { policyDiff } from './policy-diff.ts';
import { CommandReply } from './command-reply.ts';
import { MessageTail } from './message-tail.ts';
import { undecidedIdentities } from './undecided-identities.ts';
import { operatorIdentity } from './operator-identity.ts';

/** Questions that are worked on at the same time. */
const activeMax = 64;
/** Connections to the service for answers. */
const socketsMax = 4;
const replyTimeoutMs = 10_000;
/** Nobody can guess them, so a reply that has them is the reply to this command. */
const correlationBytes = 16;

export interface QueryResponderDeps {
  readonly url: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly directory: Pick<Directory, 'earlier' | 'undecided'>;
  readonly layer: SessionLayer;
  readonly authorizer: PolicyAuthorizer;
  readonly policySource: PolicySource;
  readonly limits: BrokerLimits;
  credentials(): FeedCredentials;
}

const replyAnswer = z.object({ open: z.boolean() });

export class QueryResponder {
  readonly #deps: QueryResponderDeps;
  readonly #agent = enrollmentAgent(socketsMax);
  /** Answers that take time: {@link MessageTail} and {@link CommandReply}. */
  readonly #tails = new Map<number, { cancel(): void }>();
  readonly #active = new Set<Promise<void>>();
  readonly #reader = new PolicyReader();

  constructor(deps: QueryResponderDeps) {
    this.#deps = deps;
  }

  /** Takes a question, or the end of one. */
  take(line: QueryLine): void {
    const { id } = line;
    if (line.type === 'query-end') {
      this.#tails.get(id)?.cancel();
      this.#tails.delete(id);
      return;
    }
    const work = this.#answer(id, line.query).catch((error: unknown) => {
      this.#deps.log.debug({ err: error, query: line.query.kind }, 'could not send the answer');
    });
    this.#active.add(work);
    void work.finally(() => this.#active.delete(work));
  }

  async stop(): Promise<void> {
    for (const tail of this.#tails.values()) tail.cancel();
    this.#tails.clear();
    await Promise.all(this.#active);
    this.#agent.destroy();
  }

  async #answer(id: number, asked: unknown): Promise<void> {
    let result: unknown;
    try {
      const query = brokerQuerySchema.safeParse(asked);
      if (!query.success) throw new FlotillaError('query-not-understood');
      if (this.#active.size + this.#tails.size >= activeMax) {
        throw new FlotillaError('too-many-requests');
      }
      if (query.data.kind === 'tail') {
        this.#tail(id, query.data);
        return;
      }
      if (query.data.kind === 'command') {
        await this.#command(id, query.data);
        return;
      }
      result = await this.#result(query.data);
    } catch (error) {
      const known = isFlotillaError(error) ? error : new FlotillaError('internal');
      if (known !== error) this.#deps.log.error({ err: error }, 'a question could not be answered');
      const detail = known.detail === undefined ? {} : { detail: known.detail.slice(0, 2000) };
      await this.#reply({ id, done: true, error: { code: known.code, ...detail } });
      return;
    }
    await this.#reply({ id, done: true, result });
  }

  async #result(query: Exclude<BrokerQuery, { kind: 'command' | 'tail' }>): Promise<unknown> {
    const { layer } = this.#deps;
    const { inspection } = layer;
    switch (query.kind) {
      case 'connections':
        return await inspection.connections(query);
      case 'sessions':
        return await inspection.sessions(query);
      case 'session': {
        const session = inspection.session(query.clientId);
        if (session === undefined) throw new FlotillaError('session-not-found');
        return session;
      }
      case 'retained':
        return await inspection.retained(operatorIdentity(query.subject), query);
      case 'disconnect': {
        const connections = layer
          .connectionsOf(query.device)
          .filter(({ clientId }) => query.clientId === undefined || clientId === query.clientId);
        for (const connection of connections) connection.close('disconnected-by-operator');
        return { connectionsClosed: connections.length };
      }
      case 'earlier':
        return undecidedIdentities(this.#deps.directory, query);
      case 'policy': {
        const { inForce, text } = this.#deps.policySource;
        return { ...inForce, text };
      }
      case 'policy-diff':
        return this.#policyDiff(query.text);
      case 'publish': {
        const { topic, qos, retain } = query;
        const payload = Buffer.from(query.payload, 'base64');
        this.#assertMayPublish(query.subject, { topic, qos, retain, payload });
        await layer.publish({ topic, payload, qos, retain });
        return { published: true };
      }
    }
  }

  async #policyDiff(text: string): Promise<BrokerAnswerOf<'policy-diff'>> {
    const policy = await this.#reader.read(text, 'operators');
    return policyDiff(this.#deps.layer.inspection.authorized(), policy, this.#deps.limits);
  }

  #tail(id: number, query: Extract<BrokerQuery, { kind: 'tail' }>): void {
    const { layer, clock, log } = this.#deps;
    const { subject, filter, seconds, messagesMax } = query;
    this.#assertMayWatch(subject, filter);
    const tail = new MessageTail({
      clock,
      seconds,
      messagesMax,
      send: async (batch, done) => {
        if (done) this.#tails.delete(id);
        try {
          return await this.#reply({ id, done, result: batch });
        } catch (error) {
          this.#tails.delete(id);
          log.debug({ err: error }, 'could not send messages to an operator');
          return false;
        }
      },
    });
    this.#tails.set(id, tail);
    const identity = operatorIdentity(subject);
    tail.begin(layer.inspection.tail(identity, filter, 'own', (make) => tail.offer(make)));
  }

  async #command(id: number, query: Extract<BrokerQuery, { kind: 'command' }>): Promise<void> {
    const { layer, clock, log } = this.#deps;
    const { subject, topic, qos, replyTopics, waitSeconds } = query;
    const payload = Buffer.from(query.payload, 'base64');
    this.#assertMayPublish(subject, { topic, qos, retain: false, payload });
    for (const one of replyTopics) this.#assertMayWatch(subject, one);
    const correlationData = randomBytes(correlationBytes);
    const waiting = new CommandReply({
      clock,
      correlationData: correlationData.toString('base64'),
      waitMs: waitSeconds * 1000,
      done: (result) => {
        this.#tails.delete(id);
        this.#reply({ id, done: true, result }).catch((error: unknown) => {
          log.debug({ err: error }, 'could not send the reply to a command');
        });
      },
    });
    this.#tails.set(id, waiting);
    const identity = operatorIdentity(subject);
    waiting.begin(
      replyTopics.map((one) =>
        layer.inspection.tail(identity, one, 'all', (make) => waiting.offer(make)),
      ),
    );
    const [responseTopic = topic] = replyTopics;
    try {
      await layer.publish({
        topic,
        payload,
        qos,
        retain: false,
        replyTo: { responseTopic, correlationData },
      });
    } catch (error) {
      waiting.cancel();
      this.#tails.delete(id);
      throw error;
    }
    const none = { reply: null, matchedBy: null, afterMs: 0 };
    // The reply may be there already, and then nothing more is expected.
    if (this.#tails.has(id)) {
      const part = { id, done: false, result: { published: true, ...none } };
      await this.#reply(part).catch((error: unknown) => {
        log.debug({ err: error }, 'could not report a command as published');
      });
    }
  }

  /** @throws FlotillaError `request-invalid`, `message-denied` */
  #assertMayPublish(
    subject: OperatorSubject,
    message: Pick<BrokerMessage, 'topic' | 'qos' | 'retain' | 'payload'>,
  ): void {
    const { topic, qos, retain } = message;
    const payloadBytes = message.payload.length;
    const fault = topicNameFault(topic);
    if (fault !== undefined) throw new FlotillaError('request-invalid', { detail: fault });
    const identity = operatorIdentity(subject);
    const verdict = this.#deps.authorizer.publish(identity, topic, qos, retain, payloadBytes);
    this.#assertAllowed(verdict, subject, { action: 'publish', topic, qos, retain, payloadBytes });
  }

  /** @throws FlotillaError `request-invalid`, `message-denied` */
  #assertMayWatch(subject: OperatorSubject, filter: string): void {
    const fault = topicFilterFault(filter);
    if (fault !== undefined) throw new FlotillaError('request-invalid', { detail: fault });
    const verdict = this.#deps.authorizer.subscribe(operatorIdentity(subject), filter, 0);
    this.#assertAllowed(verdict, subject, { action: 'subscribe', topic: filter });
  }

  /** @throws FlotillaError `message-denied` with the rule that decided, or the one that is nearest */
  #assertAllowed(verdict: Verdict, subject: OperatorSubject, question: Question): void {
    if (verdict.allowed) return;
    const { policy } = this.#deps.authorizer;
    const explanation = explain(policy, policySubjectOf(operatorIdentity(subject)), question);
    const { reason, nearest } = explanation;
    throw new FlotillaError('message-denied', {
      detail:
        nearest === undefined
          ? `${verdict.code}: ${reason}`
          : `${verdict.code}: ${reason}; nearest is ${nearest.rule}, but ${nearest.because}`,
    });
  }

  /** @returns whether the service wants more */
  async #reply(reply: QueryReply): Promise<boolean> {
    const { url } = this.#deps;
    const { open } = await callJson(
      {
        method: 'POST',
        url: new URL('/v1/feed/answer', url).href,
        ...this.#deps.credentials(),
        agent: this.#agent,
        body: reply,
        timeoutMs: replyTimeoutMs,
      },
      replyAnswer,
    );
    return open;
  }
}
