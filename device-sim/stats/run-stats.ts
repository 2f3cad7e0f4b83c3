/**
 * Adds up the measurements of all workers: totals, one entry per second for the plots, and a meter for
 * each phase.
 *
 * @module
 */
import type { DeviceState } from '../device/sim-device.ts';
import type { Tick } from '../worker/protocol.ts';
import { Meter } from '../measure/meter.ts';

/** One second of the run, or several seconds of a long run that were merged. */
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
  /** Percentiles in ms of this second; undefined when nothing was measured. */
  readonly endToEnd: Sample | undefined;
  readonly publishAck: Sample | undefined;
  readonly connect: Sample | undefined;
  readonly scheduleError: Sample | undefined;
  readonly simulatorCpu: number;
  readonly simulatorRssBytes: number;
  readonly brokerCpu: number | undefined;
  readonly brokerRssBytes: number | undefined;
  /** Busy cores of the controller's machine; undefined when they cannot be measured. */
  readonly machineCpu: number | undefined;
  /** The part of it that was used by processes that do not belong to this run. */
  readonly otherCpu: number | undefined;
  /** Devices that drills have revoked; they also count as offline. */
  readonly retired: number;
}

export interface Sample {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** The most entries that are kept; then each two are merged into one. */
export const secondsMax = 1200;

/** Usage of a process as the operating system reports it: CPU in ms since its start, memory in bytes. */
export interface ProcessUsage {
  readonly cpuMs: number;
  readonly rssBytes: number;
}

/** CPU time of a machine since its start, and of the controller's process. */
export interface MachineUsage {
  readonly cores: number;
  readonly busyMs: number;
  readonly controllerMs: number;
}

export class RunStats {
  readonly totals = new Meter();
  readonly seconds: Second[] = [];
  readonly #startMs: number;
  readonly #readBrokerUsage: () => ProcessUsage | undefined;
  readonly #readMachineUsage: () => MachineUsage | undefined;
  readonly #last = new Map<object, Tick>();
  readonly #phases = new Set<Meter>();
  readonly #loopBusy = new Map<object, { busy: number; ticks: number; max: number }>();
  #window = new Meter();
  #windowStartMs: number;
  #windowCpuMs = 0;
  #lastBrokerUsage: ProcessUsage | undefined;
  #lastMachineUsage: MachineUsage | undefined;
  #firstBrokerUsage: ProcessUsage | undefined;
  #spanMs = 1000;
  #cpuMs = 0;
  #cores: number | undefined;

  /**
   * @param readBrokerUsage reads the usage of the broker; undefined when it is not local
   * @param readMachineUsage reads the usage of this machine; undefined when it is not known
   */
  constructor(
    startMs: number,
    readBrokerUsage: () => ProcessUsage | undefined,
    readMachineUsage: () => MachineUsage | undefined = () => undefined,
  ) {
    this.#startMs = startMs;
    this.#windowStartMs = startMs;
    this.#readBrokerUsage = readBrokerUsage;
    this.#firstBrokerUsage = readBrokerUsage();
    this.#lastBrokerUsage = this.#firstBrokerUsage;
    this.#readMachineUsage = readMachineUsage;
    this.#lastMachineUsage = readMachineUsage();
  }

  /** Adds a tick of a worker. @param worker identifies the worker */
  addTick(worker: object, tick: Tick): void {
    this.totals.merge(tick.meter);
    this.#window.merge(tick.meter);
    for (const phase of this.#phases) phase.merge(tick.meter);
    this.#last.set(worker, tick);
    this.#cpuMs += tick.cpuMs;
    this.#windowCpuMs += tick.cpuMs;
    const loop = this.#loopBusy.get(worker) ?? { busy: 0, ticks: 0, max: 0 };
    loop.busy += tick.loopBusy;
    loop.ticks++;
    loop.max = Math.max(loop.max, tick.loopBusy);
    this.#loopBusy.set(worker, loop);
  }

  /** Starts a meter for a phase; `close` ends it. */
  openPhase(): { readonly meter: Meter; close(): void } {
    const meter = new Meter();
    this.#phases.add(meter);
    return { meter, close: () => this.#phases.delete(meter) };
  }

  /** Ends the current second and returns its entry. @param retired devices revoked so far */
  closeSecond(nowMs: number, retired = 0): Second {
    const window = this.#window;
    this.#window = new Meter();
    const spanMs = Math.max(1, nowMs - this.#windowStartMs);
    const brokerUsage = this.#readBrokerUsage();
    const brokerCpu =
      brokerUsage === undefined || this.#lastBrokerUsage === undefined
        ? undefined
        : Math.max(0, brokerUsage.cpuMs - this.#lastBrokerUsage.cpuMs) / spanMs;
    this.#firstBrokerUsage ??= brokerUsage;
    this.#lastBrokerUsage = brokerUsage;
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
      brokerRssBytes: brokerUsage?.rssBytes,
      ...this.#machineCpu(spanMs, brokerCpu ?? 0),
      retired,
    };
    this.#windowStartMs = nowMs;
    this.#windowCpuMs = 0;
    this.#keep(second);
    return second;
  }

  /** Cores of this machine since the last second: in total, and by processes outside of this run. */
  #machineCpu(spanMs: number, brokerCpu: number): Pick<Second, 'machineCpu' | 'otherCpu'> {
    const before = this.#lastMachineUsage;
    const now = this.#readMachineUsage();
    this.#lastMachineUsage = now;
    if (before === undefined || now === undefined)
      return { machineCpu: undefined, otherCpu: undefined };
    this.#cores = now.cores;
    const machineCpu = Math.max(0, now.busyMs - before.busyMs) / spanMs;
    const own = (now.controllerMs - before.controllerMs + this.#windowCpuMs) / spanMs + brokerCpu;
    return { machineCpu, otherCpu: Math.max(0, machineCpu - own) };
  }

  /** Cores of this machine; undefined when its usage is not known. */
  get cores(): number | undefined {
    return this.#cores;
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
  rssBytes(workers?: readonly object[]): number {
    let sum = 0;
    for (const [worker, tick] of this.#last) {
      if (workers === undefined || workers.includes(worker)) sum += tick.rssBytes;
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

  /** The maximum over all seconds and workers, and the mean of the busiest worker. */
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
    // The rates of a partial second at the end would be meaningless.
    const partial = second.spanMs < 500;
    if (last !== undefined && (partial || last.spanMs + second.spanMs <= this.#spanMs)) {
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

/** Merges two entries: adds counts, keeps the worse percentiles and the later states. */
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
    machineCpu: mean(one.machineCpu, two.machineCpu),
    otherCpu: mean(one.otherCpu, two.otherCpu),
  };
}
