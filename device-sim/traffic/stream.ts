/**
 * One stream of one device in one phase: its topic, send times and content. They depend only on the
 * seed, the phase, the device and the index of the stream in its group.
 *
 * @module
 */
import type { GroupSpec } from '../plan/fleet-schema.ts';
import { topicFor, type Author } from '../fleet/roster.ts';
import { seeded } from '../plan/seed.ts';
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
  /** Multiplies the rates of the group. */
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
