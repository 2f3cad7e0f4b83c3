/**
 * A worker: carries a share of the devices, does what the controller calls for, and tells every
 * second what it measured. It knows nothing of how the words travel.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { FlotillaError, isFlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { Enroller, type Credential } from '../credentials/enrolling.ts';
import { brokerOf } from '../broker-choice.ts';
import { credentialLine } from '../credentials/credential-file.ts';
import { LinkError, type Link } from '../device/link.ts';
import { LightLink } from '../device/light-link.ts';
import { SimDevice, type DeviceHost, type DeviceState } from '../device/sim-device.ts';
import { Meter } from '../measure/meter.ts';
import { rosterOf, topicFor, type Roster } from '../roster.ts';
import { setClockShift, toEpochMs, toLocalMs } from '../traffic/shared-clock.ts';
import { streamsOf } from '../traffic/stream.ts';
import { Timekeeper } from '../traffic/timekeeper.ts';
import { Observer } from './observer.ts';
import {
  type AttemptResult,
  type DeviceStatus,
  type EnrollResult,
  type ParamsOf,
  type SetupParams,
  type Tick,
  type WorkerCalls,
} from './protocol.ts';

const tickMs = 1000;
/** From so many on, what connecting left behind is worth a collection. */
const manyDevices = 500;

interface Setup extends SetupParams {
  readonly roster: Roster;
}

export class Worker implements WorkerCalls {
  readonly #emit: (tick: Tick) => void;
  readonly #meter = new Meter();
  readonly #time = new Timekeeper();
  readonly #devices = new Map<number, SimDevice>();
  #observer: Observer | undefined;
  #setup: Setup | undefined;
  #host: DeviceHost | undefined;
  #ticking: NodeJS.Timeout | undefined;
  #cpu = process.cpuUsage();
  #loop = performance.eventLoopUtilization();
  /** No new work. */
  #halted = false;
  /** No way back. */
  #stopping = false;

  constructor(emit: (tick: Tick) => void) {
    this.#emit = emit;
  }

  clock(): Promise<{ atMs: number }> {
    return Promise.resolve({ atMs: performance.timeOrigin + performance.now() });
  }

  setup(params: SetupParams): Promise<void> {
    setClockShift(params.clockShiftMs);
    const roster = rosterOf(params.plan, params.seed);
    this.#setup = { ...params, roster };
    const { sourceAddresses, brokers } = params;
    const stopping = (): boolean => this.#stopping;
    this.#host = {
      run: params.run,
      seed: params.seed,
      meter: this.#meter,
      brokerOf: (number) => brokerOf(brokers, number),
      localAddress: (number) => sourceAddresses[number % Math.max(1, sourceAddresses.length)],
      at: (ms, call) => this.#time.at(ms, call),
      get stopping() {
        return stopping();
      },
    };
    const { index, of } = params.shard;
    for (let number = index; number < roster.size; number += of) {
      this.#devices.set(
        number,
        new SimDevice(number, roster.authorOf(number), roster.groupOf(number), this.#host),
      );
    }
    this.#ticking = setInterval(() => this.#tick(), tickMs);
    return Promise.resolve();
  }

  async load({ path }: ParamsOf<'load'>): Promise<{ loaded: number }> {
    const { roster } = this.#ready();
    let loaded = 0;
    for (const line of (await readFile(path, 'utf8')).split('\n')) {
      if (line === '') continue;
      const credential = credentialLine(line);
      const number = credential === undefined ? undefined : roster.numberOf(credential.id);
      const device = number === undefined ? undefined : this.#devices.get(number);
      if (credential === undefined || device === undefined) continue;
      device.adopt(credential);
      loaded++;
    }
    return { loaded };
  }

  adopt({ credentials }: ParamsOf<'adopt'>): Promise<void> {
    for (const { device, ...credential } of credentials) this.#device(device).adopt(credential);
    return Promise.resolve();
  }

  async enroll({ devices, tokens, atMs, atOnce }: ParamsOf<'enroll'>): Promise<EnrollResult> {
    const { enroll } = this.#ready();
    if (enroll === undefined)
      throw new FlotillaError('sim-phase-unsupported', { detail: 'enroll' });
    const enroller = new Enroller(enroll.url, enroll.ca, atOnce);
    const failed: { device: number; reason: string }[] = [];
    const keys: string[] = [];
    let next = 0;
    const one = async (): Promise<void> => {
      for (let at = next++; at < devices.length && !this.#halted; at = next++) {
        const device = this.#device(devices[at] ?? -1);
        const dueMs = atMs === undefined ? undefined : toLocalMs(atMs[at] ?? 0);
        if (dueMs !== undefined) await this.#until(dueMs);
        const beganMs = dueMs ?? performance.now();
        try {
          const credential = await enroller.enroll(
            device.id,
            device.group.keyType,
            tokens[at] ?? '',
            () => this.#meter.count('enrollRetried'),
          );
          device.adopt(credential);
          keys.push(credential.keyFingerprint);
          this.#meter.count('enrolled');
          this.#meter.time('enroll', (performance.now() - beganMs) * 1000);
        } catch (error) {
          const reason = isFlotillaError(error) ? error.code : messageOf(error);
          device.state = 'failed';
          failed.push({ device: device.number, reason });
          this.#meter.count('enrollFailed');
          this.#meter.fail(`enroll: ${reason}`);
        }
      }
    };
    try {
      await Promise.all(Array.from({ length: Math.min(atOnce, devices.length) }, one));
    } finally {
      enroller.close();
    }
    // What enrolling left behind must not count as memory of connections.
    globalThis.gc?.();
    return { failed, keys };
  }

  credentials({ devices }: ParamsOf<'credentials'>): Promise<Credential[]> {
    return Promise.resolve(
      devices.flatMap((number) => this.#devices.get(number)?.credential ?? []),
    );
  }

  connect({ devices, atMs }: ParamsOf<'connect'>): Promise<void> {
    for (const [at, number] of devices.entries()) {
      const device = this.#device(number);
      this.#time.at(toLocalMs(atMs[at] ?? 0), (intendedMs) => {
        this.#meter.time('connectScheduleError', (performance.now() - intendedMs) * 1000);
        if (!this.#halted) device.join(intendedMs);
      });
    }
    return Promise.resolve();
  }

  traffic(params: ParamsOf<'traffic'>): Promise<void> {
    const { seed } = this.#ready();
    const startMs = toLocalMs(params.startMs);
    const endMs = toLocalMs(params.endMs);
    return new Promise((resolve) => {
      let open = 1;
      const finish = (): void => {
        if (--open === 0) resolve();
      };
      for (const number of params.devices) {
        const device = this.#device(number);
        const streams = streamsOf(device.author, device.group, { ...params, seed, startMs, endMs });
        for (const { topic, qos, retain, schedule, source } of streams) {
          const step = (intendedMs: number): void => {
            if (!this.#halted) {
              const epochMs = toEpochMs(intendedMs);
              this.#meter.time('scheduleError', (performance.now() - intendedMs) * 1000);
              device.send(topic, qos, retain, source.body(device.sent, epochMs), epochMs * 1000);
            }
            next();
          };
          const next = (): void => {
            const atMs = this.#halted ? undefined : schedule.next();
            if (atMs === undefined) finish();
            else this.#time.at(atMs, step);
          };
          open++;
          next();
        }
      }
      // The phase lasts to its end, however early the last message was due.
      this.#time.at(endMs, finish);
    });
  }

  lose({ devices, atMs, how }: ParamsOf<'lose'>): Promise<void> {
    for (const [at, number] of devices.entries()) {
      const device = this.#device(number);
      this.#time.at(toLocalMs(atMs[at] ?? 0), () => device.lose(how));
    }
    return Promise.resolve();
  }

  async leave({ devices, how }: ParamsOf<'leave'>): Promise<void> {
    await Promise.all(devices.map((number) => this.#device(number).leave(how)));
  }

  churn({ devices, atMs, backAtMs }: ParamsOf<'churn'>): Promise<void> {
    for (const [at, number] of devices.entries()) {
      const device = this.#device(number);
      this.#time.at(toLocalMs(atMs[at] ?? 0), () => {
        if (!this.#halted) void device.leave('clean');
      });
      this.#time.at(toLocalMs(backAtMs[at] ?? 0), (intendedMs) => {
        if (!this.#halted) device.join(intendedMs);
      });
    }
    return Promise.resolve();
  }

  drops({ except }: ParamsOf<'drops'>): Promise<{ drops: number }> {
    const left = new Set(except);
    let drops = 0;
    for (const device of this.#devices.values())
      if (!left.has(device.number)) drops += device.drops;
    return Promise.resolve({ drops });
  }

  keepSessions({ devices }: ParamsOf<'keepSessions'>): Promise<void> {
    for (const number of devices) {
      const device = this.#device(number);
      device.keepsSession = true;
      device.lose('clean');
    }
    return Promise.resolve();
  }

  sendOne({ devices }: ParamsOf<'sendOne'>): Promise<void> {
    for (const number of devices) {
      const device = this.#device(number);
      const [stream] = device.group.publish;
      if (stream === undefined) continue;
      const epochMs = toEpochMs(performance.now());
      device.send(topicFor(stream.topic, device.author), stream.qos, false, '', epochMs * 1000);
    }
    return Promise.resolve();
  }

  leaks({ devices }: ParamsOf<'leaks'>): Promise<{ topics: string[] }> {
    return Promise.resolve({ topics: devices.flatMap((number) => this.#device(number).leaks) });
  }

  async renew({ devices, atMs, rekey }: ParamsOf<'renew'>): Promise<{
    failed: { device: number; reason: string }[];
  }> {
    const { enroll } = this.#ready();
    if (enroll === undefined)
      throw new FlotillaError('sim-phase-unsupported', { detail: 'mass-renewal' });
    const enroller = new Enroller(enroll.url, enroll.ca, 16);
    const failed: { device: number; reason: string }[] = [];
    let next = 0;
    const one = async (): Promise<void> => {
      for (let at = next++; at < devices.length && !this.#halted; at = next++) {
        const device = this.#device(devices[at] ?? -1);
        const dueMs = toLocalMs(atMs[at] ?? 0);
        await this.#until(dueMs);
        const { credential } = device;
        if (credential === undefined) continue;
        try {
          device.adopt(
            await enroller.renew(credential, device.group.keyType, rekey, () =>
              this.#meter.count('enrollRetried'),
            ),
          );
          this.#meter.count('renewed');
          this.#meter.time('renew', (performance.now() - dueMs) * 1000);
          // Comes back with the new certificate.
          device.lose('clean');
        } catch (error) {
          const reason = isFlotillaError(error) ? error.code : messageOf(error);
          failed.push({ device: device.number, reason });
          this.#meter.count('renewFailed');
          this.#meter.fail(`renew: ${reason}`);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(16, devices.length) }, one));
    enroller.close();
    return { failed };
  }

  watchClose({ device: number, timeoutMs }: ParamsOf<'watchClose'>): Promise<{
    atMs: number;
    reason: string;
  } | null> {
    const device = this.#device(number);
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        device.onClosed = undefined;
        resolve(null);
      }, timeoutMs);
      device.onClosed = ({ reason }) => {
        clearTimeout(timer);
        device.onClosed = undefined;
        resolve({ atMs: toEpochMs(performance.now()), reason });
      };
    });
  }

  async attempt(params: ParamsOf<'attempt'>): Promise<AttemptResult> {
    const device = this.#device(params.device);
    const { credential } = device;
    if (credential === undefined)
      throw new FlotillaError('sim-certificate-missing', { detail: device.id });
    const session = params.resume ? device.session : undefined;
    const link: Link = new LightLink(
      {
        ...device.linkOptions(),
        kept: false,
        clientId: params.clientId ?? device.id,
        connectTimeoutMs: 5000,
      },
      { message: () => undefined, closed: () => undefined },
    );
    const beganMs = performance.now();
    const offered = { resumeOffered: session !== undefined };
    try {
      const { timing } = await link.connect({
        ...device.dialOptions(credential),
        session,
        onSession: undefined,
      });
      const elapsedMs = performance.now() - beganMs;
      await this.#until(performance.now() + params.holdMs);
      const stayed = link.online;
      link.destroy();
      return {
        outcome: 'accepted',
        reason: stayed ? 'accepted' : 'accepted, then closed',
        ...offered,
        resumed: timing.resumed,
        elapsedMs,
      };
    } catch (error) {
      const reason = error instanceof LinkError ? error.reason : messageOf(error);
      const elapsedMs = performance.now() - beganMs;
      const resumed = error instanceof LinkError && error.resumed;
      return { outcome: 'refused', reason, ...offered, resumed, elapsedMs };
    }
  }

  async subscribe({ device, filter, qos }: ParamsOf<'subscribe'>): Promise<{
    code: number | null;
    reason: string;
  }> {
    try {
      const code = await this.#device(device).subscribe(filter, qos);
      return { code, reason: code >= 0x80 ? 'refused' : 'granted' };
    } catch (error) {
      return { code: null, reason: error instanceof LinkError ? error.reason : messageOf(error) };
    }
  }

  unsubscribe({ device, filter }: ParamsOf<'unsubscribe'>): Promise<void> {
    return this.#device(device).unsubscribe(filter);
  }

  async publish({ device: number, topic, payload, qos }: ParamsOf<'publish'>): Promise<{
    failure: string | null;
    stillOnline: boolean;
  }> {
    const device = this.#device(number);
    const result = device.publishRaw(topic, payload, qos);
    const late = this.#until(performance.now() + 3000).then(() => 'no answer');
    const failure = await Promise.race([result, late]);
    // Nothing answers QoS 0; what the broker thinks of it shows a moment later.
    if (qos === 0) await this.#until(performance.now() + 250);
    return { failure: failure ?? null, stillOnline: device.online };
  }

  pauseReading({ devices, paused }: ParamsOf<'pauseReading'>): Promise<void> {
    for (const number of devices) this.#device(number).pauseReading(paused);
    return Promise.resolve();
  }

  status({ devices }: ParamsOf<'status'>): Promise<DeviceStatus[]> {
    return Promise.resolve(
      devices.map((number) => {
        const { state, everOnline, lastFailure, online, commands } = this.#device(number);
        return {
          device: number,
          state: state === 'online' && !online ? 'offline' : state,
          everOnline,
          reason: lastFailure?.reason,
          commands: commands.size,
        };
      }),
    );
  }

  async settle({ timeoutMs }: ParamsOf<'settle'>): Promise<{ unsettled: number }> {
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      let unsettled = this.#observer?.unsettled ?? 0;
      for (const device of this.#devices.values()) if (device.online) unsettled += device.unsettled;
      if (unsettled === 0 || performance.now() >= endMs) return { unsettled };
      await this.#until(performance.now() + 50);
    }
  }

  account({
    from,
    count,
  }: ParamsOf<'account'>): Promise<
    { device: number; settled: readonly number[]; commands: readonly number[]; hadGap: boolean }[]
  > {
    return Promise.resolve(
      [...this.#devices.values()].slice(from, from + count).map((device) => ({
        device: device.number,
        settled: device.settled.toRanges(),
        commands: device.commands.toRanges(),
        hadGap: device.hadGap,
      })),
    );
  }

  async observe(params: ParamsOf<'observe'>): Promise<void> {
    const { name, key, chain, filters, client, broker } = params;
    const { brokers, run, roster } = this.#ready();
    const identity = { key, chain };
    this.#observer = new Observer({
      name,
      identity,
      brokers,
      broker,
      filters,
      client,
      run,
      roster,
      meter: this.#meter,
    });
    await this.#observer.start();
  }

  command({ commands, qos, bytes, reply, accounted }: ParamsOf<'command'>): Promise<void> {
    const observer = this.#observer;
    if (observer === undefined || commands.length === 0) return Promise.resolve();
    const pad = bytes > 12 ? `"pad":"${'x'.repeat(bytes - 12)}"` : '';
    const body = `{${[...(reply ? ['"reply":1'] : []), ...(pad === '' ? [] : [pad])].join(',')}}`;
    let left = commands.length;
    return new Promise((resolve) => {
      for (const { device, atMs } of commands) {
        this.#time.at(toLocalMs(atMs), () => {
          if (!this.#halted) observer.command(device, qos, body, atMs * 1000, accounted);
          if (--left === 0) resolve();
        });
      }
    });
  }

  observed(): ReturnType<WorkerCalls['observed']> {
    return Promise.resolve(this.#observer?.account() ?? { broker: 0, received: [], commanded: [] });
  }

  async awaitOnline({ devices, timeoutMs }: ParamsOf<'awaitOnline'>): Promise<{
    missing: readonly DeviceStatus[];
  }> {
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      const missing = devices.filter((number) => this.#device(number).state !== 'online');
      if (missing.length === 0) {
        // Thousands of handshakes leave much behind, which must not count as memory of connections.
        if (devices.length >= manyDevices) globalThis.gc?.();
        return { missing: [] };
      }
      if (performance.now() >= endMs || this.#halted) {
        return { missing: await this.status({ devices: missing }) };
      }
      await this.#until(performance.now() + 50);
    }
  }

  halt(): Promise<void> {
    this.#halted = true;
    return Promise.resolve();
  }

  flush(): Promise<void> {
    this.#tick();
    return Promise.resolve();
  }

  async close(): Promise<void> {
    this.#halted = true;
    this.#stopping = true;
    clearInterval(this.#ticking);
    await this.#observer?.close();
    // In slices, so that ten thousand goodbyes do not stall the process.
    const devices = [...this.#devices.values()];
    for (let first = 0; first < devices.length; first += 200) {
      await Promise.all(devices.slice(first, first + 200).map((device) => device.leave('clean')));
    }
    this.#time.close();
  }

  #tick(): void {
    const devices: Record<DeviceState, number> = {
      new: 0,
      enrolled: 0,
      connecting: 0,
      online: 0,
      offline: 0,
      failed: 0,
    };
    let everOnline = 0;
    for (const device of this.#devices.values()) {
      devices[device.state]++;
      if (device.everOnline) everOnline++;
    }
    const cpu = process.cpuUsage();
    const loop = performance.eventLoopUtilization();
    const loopBusy = performance.eventLoopUtilization(loop, this.#loop).utilization;
    const cpuMs = (cpu.user - this.#cpu.user + cpu.system - this.#cpu.system) / 1000;
    this.#cpu = cpu;
    this.#loop = loop;
    this.#emit({
      atMs: toEpochMs(performance.now()),
      meter: this.#meter.take(),
      devices,
      everOnline,
      cpuMs,
      rssBytes: process.memoryUsage.rss(),
      loopBusy,
    });
  }

  #device(number: number): SimDevice {
    const device = this.#devices.get(number);
    if (device === undefined) throw new RangeError(`device number ${number} is not carried here`);
    return device;
  }

  #ready(): Setup {
    if (this.#setup === undefined) throw new Error('the worker was not set up');
    return this.#setup;
  }

  #until(localMs: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stopping) resolve();
      else this.#time.at(localMs, () => resolve());
    });
  }
}
