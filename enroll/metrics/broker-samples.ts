/**
 * The numbers of each broker: the latest, and one hour of history in steps of five seconds. Memory is
 * bounded by the number of brokers that are remembered.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { samplePeriodMs, type BrokerSampleReport } from '../../core/protocol/broker-sample.ts';
import type { BrokerAnswer, MetricsPoint } from '../../core/protocol/operator-api.ts';

/** One hour. */
const slots = 720;
/** Brokers that are remembered; the one that was silent the longest is forgotten first. */
const brokersMax = 256;
/** For how many steps a missing report is replaced by the one before. */
const carriedSlotsMax = 2;

/** One broker in one step of time. */
interface Step {
  readonly slot: number;
  readonly values: Omit<MetricsPoint, 'at'>;
}

interface Track {
  report: BrokerSampleReport;
  atMs: number;
  /** By slot modulo the number of slots. */
  readonly steps: (Step | undefined)[];
}

export class BrokerSamples {
  readonly #clock: Clock;
  readonly #tracks = new Map<DeviceId, Track>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes a broker's report. */
  take(broker: DeviceId, report: BrokerSampleReport): void {
    const atMs = this.#clock.now();
    const before = this.#tracks.get(broker);
    const slot = Math.floor(atMs / samplePeriodMs);
    const steps = before?.steps ?? Array.from({ length: slots }, () => undefined);
    const comparable = before?.report.run === report.run && atMs > before.atMs;
    const seconds = comparable ? (atMs - before.atMs) / 1000 : 1;
    const rate = (name: Counter): number =>
      comparable ? Math.max(0, report[name] - before.report[name]) / seconds : 0;
    steps[slot % slots] = {
      slot,
      values: {
        connections: report.connections,
        sessions: report.sessions,
        queuedMessages: report.queuedMessages,
        messagesInPerSecond: rate('messagesIn'),
        messagesOutPerSecond: rate('messagesOut'),
        bytesInPerSecond: rate('bytesIn'),
        bytesOutPerSecond: rate('bytesOut'),
        deniedPerSecond: rate('denied'),
        eventLoopLagMs: report.eventLoopLagMs,
      },
    };
    this.#tracks.delete(broker);
    this.#tracks.set(broker, { report, atMs, steps });
    const [oldest] = this.#tracks.keys();
    if (this.#tracks.size > brokersMax && oldest !== undefined) this.#tracks.delete(oldest);
  }

  get names(): readonly DeviceId[] {
    return [...this.#tracks.keys()];
  }

  latest(broker: DeviceId): Pick<BrokerAnswer, 'sample' | 'policy'> | undefined {
    const track = this.#tracks.get(broker);
    if (track === undefined) return undefined;
    const { report } = track;
    return {
      sample: {
        at: new Date(track.atMs).toISOString(),
        version: report.version,
        startedAt: new Date(report.startedAtMs).toISOString(),
        connections: report.connections,
        sessions: report.sessions,
        subscriptions: report.subscriptions,
        retained: report.retained,
        queuedMessages: report.queuedMessages,
        queuedBytes: report.queuedBytes,
        messagesIn: report.messagesIn,
        messagesOut: report.messagesOut,
        bytesIn: report.bytesIn,
        bytesOut: report.bytesOut,
        denied: report.denied,
        eventLoopLagMs: report.eventLoopLagMs,
      },
      policy: report.policy ?? null,
    };
  }

  /**
   * The last `seconds`, oldest first: the sum of all brokers, or of one. The lag of the event loop is that
   * of the slowest broker.
   */
  history(seconds: number, broker?: string): MetricsPoint[] {
    const now = Math.floor(this.#clock.now() / samplePeriodMs);
    const wanted = Math.min(slots, Math.max(1, Math.ceil((seconds * 1000) / samplePeriodMs)));
    const tracks = [...this.#tracks]
      .filter(([name]) => broker === undefined || name === broker)
      .map(([, track]) => track);
    const points: MetricsPoint[] = [];
    for (let slot = now - wanted + 1; slot <= now; slot++) {
      const values = tracks.flatMap((track) => stepAt(track, slot)?.values ?? []);
      if (values.length === 0) continue;
      points.push({ at: new Date(slot * samplePeriodMs).toISOString(), ...sum(values) });
    }
    return points;
  }
}

type Counter = 'messagesIn' | 'messagesOut' | 'bytesIn' | 'bytesOut' | 'denied';

/** What a track says of a step. A report that came a little late does not leave a hole. */
function stepAt({ steps }: Track, slot: number): Step | undefined {
  for (let back = 0; back <= carriedSlotsMax; back++) {
    const step = steps[(slot - back + slots) % slots];
    if (step?.slot === slot - back) return step;
  }
  return undefined;
}

function sum(values: readonly Omit<MetricsPoint, 'at'>[]): Omit<MetricsPoint, 'at'> {
  const total = (name: keyof Omit<MetricsPoint, 'at'>): number =>
    values.reduce((all, one) => all + one[name], 0);
  return {
    connections: total('connections'),
    sessions: total('sessions'),
    queuedMessages: total('queuedMessages'),
    messagesInPerSecond: rounded(total('messagesInPerSecond')),
    messagesOutPerSecond: rounded(total('messagesOutPerSecond')),
    bytesInPerSecond: rounded(total('bytesInPerSecond')),
    bytesOutPerSecond: rounded(total('bytesOutPerSecond')),
    deniedPerSecond: rounded(total('deniedPerSecond')),
    eventLoopLagMs: rounded(Math.max(...values.map(({ eventLoopLagMs }) => eventLoopLagMs))),
  };
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
