/**
 * What all workers measured, added up: totals, one column a second for the plots, and the share of
 * each phase.
 *
 * @module
 */
import type { DeviceState } from '../device/sim-device.ts';
import type { Tick } from '../worker/protocol.ts';
import { Meter } from '../measure/meter.ts';

/** One second of the whole run (or more, when a long run was thinned out). */
export interface Second {
  /** Since the start of the run. */
  readonly atMs: number;
  readonly spanMs: number;
  readonly enrolled: number;
  readonly connected: number;
  readonly published: number;
  readonly delivered: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly devices: Readonly<Record<DeviceState, number>>;
  /** Percentiles in ms of what fell into this second; absent when nothing did. */
  readonly endToEnd: Sample | undefined;
  readonly publishAck: Sample | undefined;
  readonly connect: Sample | undefined;
  readonly scheduleError: Sample | undefined;
  readonly simulatorCpu: number;
  readonly simulatorRssBytes: number;
  readonly brokerCpu: number | undefined;
  readonly brokerRssBytes: number | undefined;
}

export interface Sample {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** How many columns are kept; then two become one. */
export const secondsMax = 1200;

/** What the operating system says of the broker: CPU in ms since its start, memory in bytes. */
export interface ProcessUsage {
  readonly cpuMs: number;
  readonly rssBytes: number;
}

export class RunStats {
  readonly totals = new Meter();
  readonly seconds: Second[] = [];
  readonly #startMs: number;
  readonly #readBrokerUsage: () => ProcessUsage | undefined;
  readonly #last = new Map<object, Tick>();
  readonly #phases = new Set<Meter>();
  readonly #loopBusy = new Map<object, { busy: number; ticks: number; max: number }>();
  #window = new Meter();
  #windowStartMs: number;
  #windowCpuMs = 0;
  #lastBrokerUsage: ProcessUsage | undefined;
  #firstBrokerUsage: ProcessUsage | undefined;
  #spanMs = 1000;
  #cpuMs = 0;

  /** @param brokerUse reads the broker's process when it is local */
  constructor(startMs: number, brokerUse: () => ProcessUsage | undefined) {
    this.#startMs = startMs;
    this.#windowStartMs = startMs;
    this.#readBrokerUsage = brokerUse;
    this.#firstBrokerUsage = brokerUse();
    this.#lastBrokerUsage = this.#firstBrokerUsage;
  }

  /** Takes a tick of a worker; `who` tells workers apart. */
  addTick(who: object, tick: Tick): void {
    this.totals.merge(tick.meter);
    this.#window.merge(tick.meter);
    for (const phase of this.#phases) phase.merge(tick.meter);
    this.#last.set(who, tick);
    this.#cpuMs += tick.cpuMs;
    this.#windowCpuMs += tick.cpuMs;
    const loop = this.#loopBusy.get(who) ?? { busy: 0, ticks: 0, max: 0 };
    loop.busy += tick.loopBusy;
    loop.ticks++;
    loop.max = Math.max(loop.max, tick.loopBusy);
    this.#loopBusy.set(who, loop);
  }

  /** Measures a phase from now on; call the result to end it. */
  openPhase(): { readonly meter: Meter; close(): void } {
    const meter = new Meter();
    this.#phases.add(meter);
    return { meter, close: () => this.#phases.delete(meter) };
  }

  /** Closes the column of the second that ended. */
  closeSecond(nowMs: number): Second {
    const window = this.#window;
    this.#window = new Meter();
    const spanMs = Math.max(1, nowMs - this.#windowStartMs);
    const brokerUse = this.#readBrokerUsage();
    const brokerCpu =
      brokerUse === undefined || this.#lastBrokerUsage === undefined
        ? undefined
        : Math.max(0, brokerUse.cpuMs - this.#lastBrokerUsage.cpuMs) / spanMs;
    this.#firstBrokerUsage ??= brokerUse;
    this.#lastBrokerUsage = brokerUse;
    const second: Second = {
      atMs: Math.round(nowMs - this.#startMs),
      spanMs,
      enrolled: window.counter('enrolled'),
      connected: window.counter('connected'),
      published: window.counter('published'),
      delivered: window.counter('delivered') + window.counter('commandsDelivered'),
      errors: window.errors(),
      devices: this.states(),
      endToEnd: sampleOf(window, 'endToEnd'),
      publishAck: sampleOf(window, 'publishAck'),
      connect: sampleOf(window, 'connect'),
      scheduleError: sampleOf(window, 'scheduleError'),
      simulatorCpu: this.#windowCpuMs / spanMs,
      simulatorRssBytes: this.rssBytes(),
      brokerCpu,
      brokerRssBytes: brokerUse?.rssBytes,
    };
    this.#windowStartMs = nowMs;
    this.#windowCpuMs = 0;
    this.#keep(second);
    return second;
  }

  /** Devices by state, over all workers. */
  states(): Record<DeviceState, number> {
    const states = { new: 0, enrolled: 0, connecting: 0, online: 0, offline: 0, failed: 0 };
    for (const { devices } of this.#last.values()) {
      for (const state of Object.keys(states) as DeviceState[]) states[state] += devices[state];
    }
    return states;
  }

  everOnline(): number {
    let sum = 0;
    for (const tick of this.#last.values()) sum += tick.everOnline;
    return sum;
  }

  /** Memory of all workers, or of some. */
  rssBytes(whose?: readonly object[]): number {
    let sum = 0;
    for (const [who, tick] of this.#last) {
      if (whose === undefined || whose.includes(who)) sum += tick.rssBytes;
    }
    return sum;
  }

  /** CPU of all workers so far, in ms. */
  get cpuMs(): number {
    return this.#cpuMs;
  }

  /** CPU of the broker since the start of the run, in ms; undefined when it is not local. */
  get brokerCpuMs(): number | undefined {
    return this.#firstBrokerUsage === undefined || this.#lastBrokerUsage === undefined
      ? undefined
      : this.#lastBrokerUsage.cpuMs - this.#firstBrokerUsage.cpuMs;
  }

  /** The busiest second of any worker's event loop, and the mean of the busiest worker. */
  loopBusy(): { mean: number; max: number } {
    let mean = 0;
    let max = 0;
    for (const loop of this.#loopBusy.values()) {
      mean = Math.max(mean, loop.busy / loop.ticks);
      max = Math.max(max, loop.max);
    }
    return { mean, max };
  }

  #keep(second: Second): void {
    const last = this.seconds.at(-1);
    // The rest of a second at the end would make rates out of next to nothing.
    const scrap = second.spanMs < 500;
    if (last !== undefined && (scrap || last.spanMs + second.spanMs <= this.#spanMs)) {
      this.seconds[this.seconds.length - 1] = mergeSeconds(last, second);
    } else {
      this.seconds.push(second);
    }
    if (this.seconds.length <= secondsMax) return;
    this.#spanMs *= 2;
    const thinned: Second[] = [];
    for (let at = 0; at < this.seconds.length; at += 2) {
      const [one, two] = [this.seconds[at], this.seconds[at + 1]];
      if (one !== undefined) thinned.push(two === undefined ? one : mergeSeconds(one, two));
    }
    this.seconds.splice(0, Infinity, ...thinned);
  }
}

function sampleOf(meter: Meter, name: Parameters<Meter['timer']>[0]): Sample | undefined {
  const { count, ...sample } = meter.timer(name).percentiles();
  return count === 0 ? undefined : sample;
}

/** Two columns as one: counts added, percentiles the worse of both, states the later. */
function mergeSeconds(one: Second, two: Second): Second {
  const worse = (a: Sample | undefined, b: Sample | undefined): Sample | undefined =>
    a === undefined || b === undefined
      ? (a ?? b)
      : {
          p50: Math.max(a.p50, b.p50),
          p95: Math.max(a.p95, b.p95),
          p99: Math.max(a.p99, b.p99),
          max: Math.max(a.max, b.max),
        };
  const errors: Record<string, number> = { ...one.errors };
  for (const [reason, by] of Object.entries(two.errors))
    errors[reason] = (errors[reason] ?? 0) + by;
  const spanMs = one.spanMs + two.spanMs;
  const mean = (a: number | undefined, b: number | undefined): number | undefined =>
    a === undefined || b === undefined ? (a ?? b) : (a * one.spanMs + b * two.spanMs) / spanMs;
  return {
    ...two,
    spanMs,
    enrolled: one.enrolled + two.enrolled,
    connected: one.connected + two.connected,
    published: one.published + two.published,
    delivered: one.delivered + two.delivered,
    errors,
    endToEnd: worse(one.endToEnd, two.endToEnd),
    publishAck: worse(one.publishAck, two.publishAck),
    connect: worse(one.connect, two.connect),
    scheduleError: worse(one.scheduleError, two.scheduleError),
    simulatorCpu: mean(one.simulatorCpu, two.simulatorCpu) ?? 0,
    brokerCpu: mean(one.brokerCpu, two.brokerCpu),
  };
}
