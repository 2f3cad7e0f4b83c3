/**
 * Finds what a broker must not do in what was published, acknowledged and received.
 *
 * @module
 */
import type { LoadQos } from '../load/frames.ts';

/** The messages of one topic, which one client publishes with one QoS, numbered from 1. */
export interface StreamFacts {
  readonly topic: string;
  readonly qos: LoadQos;
  readonly published: number;
  /** Whose acknowledgement the publisher has received completely. */
  readonly acknowledged: ReadonlySet<number>;
  /** By subscriber, in the order of arrival. Each subscriber that must receive the messages has an entry. */
  readonly received: ReadonlyMap<string, readonly number[]>;
}

/** Each text names subscriber, topic and number. */
export interface Violations {
  /** Acknowledged messages that a subscriber did not receive. */
  readonly lost: readonly string[];
  /** QoS 0 and 2 messages that arrived more than once. */
  readonly twice: readonly string[];
  /** Messages that arrived for the first time after a later one. */
  readonly outOfOrder: readonly string[];
  /** Messages that nobody published. */
  readonly unknown: readonly string[];
}

export interface LedgerSums {
  readonly published: number;
  readonly acknowledged: number;
  readonly deliveries: number;
  /** Allowed: QoS 1 means at least once. */
  readonly repeatedQos1: number;
  /** Allowed: QoS 0 means at most once. */
  readonly missingQos0: number;
}

type Found = { readonly [Kind in keyof Violations]: string[] };

/** @param streams each topic once */
export function violationsOf(streams: Iterable<StreamFacts>): Violations {
  const found: Found = { lost: [], twice: [], outOfOrder: [], unknown: [] };
  for (const stream of streams) {
    for (const [subscriber, numbers] of stream.received)
      checkOne(stream, subscriber, numbers, found);
  }
  return found;
}

function checkOne(
  { topic, qos, published, acknowledged }: StreamFacts,
  subscriber: string,
  numbers: readonly number[],
  found: Found,
): void {
  const text = (number: number): string => `${subscriber} ${topic} ${number}`;
  const seen = new Set<number>();
  let highest = 0;
  for (const number of numbers) {
    if (number < 1 || number > published) found.unknown.push(text(number));
    // A repeated QoS 1 message may arrive after later ones.
    if (seen.has(number)) {
      if (qos !== 1) found.twice.push(text(number));
      continue;
    }
    seen.add(number);
    if (number < highest) found.outOfOrder.push(`${text(number)} after ${highest}`);
    highest = Math.max(highest, number);
  }
  if (qos === 0) return;
  for (const number of acknowledged) if (!seen.has(number)) found.lost.push(text(number));
}

/** Counts that are no violations. */
export function sumsOf(streams: Iterable<StreamFacts>): LedgerSums {
  const sums = { published: 0, acknowledged: 0, deliveries: 0, repeatedQos1: 0, missingQos0: 0 };
  for (const { qos, published, acknowledged, received } of streams) {
    sums.published += published;
    sums.acknowledged += acknowledged.size;
    for (const numbers of received.values()) {
      sums.deliveries += numbers.length;
      const different = new Set(numbers).size;
      if (qos === 1) sums.repeatedQos1 += numbers.length - different;
      if (qos === 0) sums.missingQos0 += published - different;
    }
  }
  return sums;
}

/**
 * What must not happen with a shared subscription: each acknowledged message has one receiver. With QoS 1, another member
 * may get it again when the first one did not acknowledge it before its connection ended.
 *
 * @param stream its subscribers are the members of the group
 */
export function sharedViolationsOf(stream: StreamFacts): Pick<Violations, 'lost' | 'twice'> {
  const counts = new Map<number, number>();
  for (const numbers of stream.received.values()) {
    for (const number of numbers) counts.set(number, (counts.get(number) ?? 0) + 1);
  }
  const text = (number: number): string => `${stream.topic} ${number}`;
  return {
    lost: [...stream.acknowledged].filter((number) => !counts.has(number)).map(text),
    twice:
      stream.qos === 1
        ? []
        : [...counts].filter(([, count]) => count > 1).map(([number]) => text(number)),
  };
}
