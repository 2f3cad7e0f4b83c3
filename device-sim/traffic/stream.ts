/**
 * One stream of one device in one phase: where it publishes, when, and what. Everything follows from
 * the seed, the phase, the device and the stream's place in its group, and from nothing else.
 *
 * @module
 */
import type { GroupSpec } from '../plan/fleet-schema.ts';
import { topicFor } from '../fleet/roster.ts';
import { seeded } from '../plan/seed.ts';
import type { Author } from '../fleet/roster.ts';
import { payloadSource, type PayloadSource } from './payload.ts';
import { Schedule } from './schedule.ts';

export interface Stream {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly schedule: Schedule;
  readonly source: PayloadSource;
}

export interface StreamWindow {
  readonly seed: string;
  readonly phase: string;
  readonly startMs: number;
  readonly endMs: number;
  /** How many times as often as the group says. */
  readonly factor: number;
}

/** The streams of a device, in the order of its group. @throws FlotillaError `sim-replay-unreadable` */
export function streamsOf(author: Author, group: GroupSpec, window: StreamWindow): Stream[] {
  const { seed, phase, startMs, endMs, factor } = window;
  return group.publish.map(({ topic, qos, retain, rate, spread, jitter, payload }, index) => ({
    topic: topicFor(topic, author),
    qos,
    retain,
    schedule: new Schedule(
      { intervalMs: 1000 / (rate * factor), spread, jitter },
      seeded(seed, 'schedule', phase, author.device, index),
      startMs,
      endMs,
    ),
    source: payloadSource(payload, author, () =>
      seeded(seed, 'payload', phase, author.device, index),
    ),
  }));
}
