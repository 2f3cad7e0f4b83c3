/**
 * A worker carries a share of the devices, runs the calls of the controller, and emits its
 * measurements every second. It does not depend on the channel over which the calls are sent.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { brokerOf } from '../fleet/broker-choice.ts';
import { credentialLine } from '../credentials/credential-file.ts';
import type { DeviceCredential } from '../device/credential.ts';
import { LinkError } from '../device/link.ts';
import { SimDevice, type DeviceHost } from '../device/sim-device.ts';
import { rosterOf, topicFor, type Roster } from '../fleet/roster.ts';
import { SharedClock } from '../traffic/shared-clock.ts';
import { accountOf, WorkerDevices, statusOf } from './worker-devices.ts';
import { enrollRound, renewRound } from './enroll-calls.ts';
import { sendCommands } from './command-calls.ts';
import { connectionAttempt } from './connection-attempt.ts';
import { Observer } from './observer.ts';
import type {
  AttemptResult,
  DeviceAccount,
  DeviceStatus,
  EnrollResult,
  ParamsOf,
  SetupParams,
  Tick,
  WorkerCalls,
} from './protocol.ts';
import { TickSource } from './tick-source.ts';
import { publishStreams } from './traffic-calls.ts';
import { WorkerContext } from './worker-context.ts';

const tickMs = 1000;
/** How often a condition is checked while waiting for it. */
const pollMs = 50;
/** How long a broker may take to acknowledge a message of a drill. */
const publishReplyMaxMs = 3000;
/** QoS 0 has no reply: a broker that rejects a message closes the connection within this time. */
const qos0ReactionMs = 250;
/** Concurrent disconnects when the worker closes. */
const disconnectConcurrency = 200;
/** With this many devices, garbage is collected after they have connected. */
const gcFromDevices = 500;

interface Setup extends SetupParams {
  readonly roster: Roster;
}

export class Worker implements WorkerCalls {
  readonly #emit: (tick: Tick) => void;
  readonly #work = new WorkerContext();
  readonly #devices = new WorkerDevices();
  readonly #ticks = new TickSource();
  #observer: Observer | undefined;
  #setup: Setup | undefined;
  #ticking: NodeJS.Timeout | undefined;

  constructor(emit: (tick: Tick) => void) {
    this.#emit = emit;
  }

  clock(): Promise<{ atMs: number }> {
    return Promise.resolve({ atMs: performance.timeOrigin + performance.now() });
  }

  setup(params: SetupParams): Promise<void> {
    this.#work.clock = new SharedClock(params.clockShiftMs);
    const roster = rosterOf(params.plan, params.seed);
    this.#setup = { ...params, roster };
    const { sourceAddresses, brokers } = params;
    const work = this.#work;
    const host: DeviceHost = {
      run: params.run,
      seed: params.seed,
      meter: work.meter,
      clock: work.clock,
      brokerOf: (number) => brokerOf(brokers, number),
      localAddress: (number) => sourceAddresses[number % Math.max(1, sourceAddresses.length)],
      at: (ms, call) => work.time.at(ms, call),
      get stopping() {
        return work.stopping;
      },
    };
    const { index, of } = params.shard;
    for (let number = index; number < roster.size; number += of) {
      this.#devices.add(
        new SimDevice(number, roster.authorOf(number), roster.groupOf(number), host),
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
      const device = number === undefined ? undefined : this.#devices.find(number);
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

  async enroll(params: ParamsOf<'enroll'>): Promise<EnrollResult> {
    const devices = this.#devices.getMany(params.devices);
    const result = await enrollRound(this.#work, this.#service('enroll'), devices, params);
    // Garbage of the enrollments must not count as memory of connections.
    globalThis.gc?.();
    return result;
  }

  credentials({ devices }: ParamsOf<'credentials'>): Promise<DeviceCredential[]> {
    return Promise.resolve(
      devices.flatMap((number) => this.#devices.find(number)?.credential ?? []),
    );
  }

  connect({ devices, atMs }: ParamsOf<'connect'>): Promise<void> {
    for (const [at, number] of devices.entries()) {
      const device = this.#device(number);
      this.#work.at(atMs[at] ?? 0, (intendedMs) => {
        this.#work.meter.time('connectScheduleError', (performance.now() - intendedMs) * 1000);
        if (!this.#work.halted) device.join(intendedMs);
      });
    }
    return Promise.resolve();
  }

  traffic(params: ParamsOf<'traffic'>): Promise<void> {
    const { seed } = this.#ready();
    return publishStreams(this.#work, this.#devices.getMany(params.devices), {
      ...params,
      seed,
      startMs: this.#work.clock.toLocalMs(params.startMs),
      endMs: this.#work.clock.toLocalMs(params.endMs),
    });
  }

  dropConnections({ devices, atMs, how }: ParamsOf<'dropConnections'>): Promise<void> {
    for (const [at, number] of devices.entries()) {
      const device = this.#device(number);
      this.#work.at(atMs[at] ?? 0, () => device.dropConnection(how));
    }
    return Promise.resolve();
  }

  async disconnect({ devices, how }: ParamsOf<'disconnect'>): Promise<void> {
    await Promise.all(devices.map((number) => this.#device(number).disconnect(how)));
  }

  churn({ devices, atMs, backAtMs }: ParamsOf<'churn'>): Promise<void> {
    for (const [at, number] of devices.entries()) {
      const device = this.#device(number);
      this.#work.at(atMs[at] ?? 0, () => {
        if (!this.#work.halted) void device.disconnect('clean');
      });
      this.#work.at(backAtMs[at] ?? 0, (intendedMs) => {
        if (!this.#work.halted) device.join(intendedMs);
      });
    }
    return Promise.resolve();
  }

  drops({ except }: ParamsOf<'drops'>): Promise<{ drops: number }> {
    const excluded = new Set(except);
    let drops = 0;
    for (const device of this.#devices.all())
      if (!excluded.has(device.number)) drops += device.drops;
    return Promise.resolve({ drops });
  }

  keepSessions({ devices }: ParamsOf<'keepSessions'>): Promise<void> {
    for (const number of devices) {
      const device = this.#device(number);
      device.keepsSession = true;
      device.dropConnection('clean');
    }
    return Promise.resolve();
  }

  sendOne({ devices }: ParamsOf<'sendOne'>): Promise<void> {
    for (const number of devices) {
      const device = this.#device(number);
      const [stream] = device.group.publish;
      if (stream === undefined) continue;
      const epochMs = this.#work.clock.now();
      device.send(topicFor(stream.topic, device.author), stream.qos, false, '', epochMs * 1000);
    }
    return Promise.resolve();
  }

  leaks({ devices }: ParamsOf<'leaks'>): Promise<{ topics: string[] }> {
    return Promise.resolve({ topics: devices.flatMap((number) => this.#device(number).leaks) });
  }

  async renew(
    params: ParamsOf<'renew'>,
  ): Promise<Pick<EnrollResult, 'failed'> & { readonly notDue: number }> {
    const devices = this.#devices.getMany(params.devices);
    const service = this.#service('mass-renewal');
    return await renewRound(this.#work, service, devices, params);
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
        resolve({ atMs: this.#work.clock.now(), reason });
      };
    });
  }

  attempt(params: ParamsOf<'attempt'>): Promise<AttemptResult> {
    return connectionAttempt(this.#work, this.#device(params.device), params);
  }

  async subscribe({ device, filter, qos }: ParamsOf<'subscribe'>): Promise<{
    code: number | null;
    reason: string;
  }> {
    try {
      const code = await this.#device(device).subscribe(filter, qos);
      return { code, reason: code >= 0x80 ? 'rejected' : 'granted' };
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
    const late = this.#work.pause(publishReplyMaxMs).then(() => 'no reply');
    const failure = await Promise.race([result, late]);
    if (qos === 0) await this.#work.pause(qos0ReactionMs);
    return { failure: failure ?? null, stillOnline: device.online };
  }

  pauseReading({ devices, paused }: ParamsOf<'pauseReading'>): Promise<void> {
    for (const number of devices) this.#device(number).pauseReading(paused);
    return Promise.resolve();
  }

  status({ devices }: ParamsOf<'status'>): Promise<DeviceStatus[]> {
    return Promise.resolve(this.#devices.getMany(devices).map(statusOf));
  }

  async settle({ timeoutMs }: ParamsOf<'settle'>): Promise<{ unsettled: number }> {
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      let unsettled = this.#observer?.unsettled ?? 0;
      for (const device of this.#devices.all()) if (device.online) unsettled += device.unsettled;
      if (unsettled === 0 || performance.now() >= endMs) return { unsettled };
      await this.#work.pause(pollMs);
    }
  }

  account({ from, count }: ParamsOf<'account'>): Promise<DeviceAccount[]> {
    return Promise.resolve([...this.#devices.all()].slice(from, from + count).map(accountOf));
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
      meter: this.#work.meter,
      clock: this.#work.clock,
    });
    await this.#observer.start();
  }

  command(params: ParamsOf<'command'>): Promise<void> {
    const observer = this.#observer;
    return observer === undefined ? Promise.resolve() : sendCommands(this.#work, observer, params);
  }

  observerAccount(): ReturnType<WorkerCalls['observerAccount']> {
    return Promise.resolve(this.#observer?.account() ?? { broker: 0, received: [], commanded: [] });
  }

  async awaitOnline({ devices, timeoutMs }: ParamsOf<'awaitOnline'>): Promise<{
    missing: readonly DeviceStatus[];
  }> {
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      const missing = devices.filter((number) => this.#device(number).state !== 'online');
      if (missing.length === 0) {
        // Garbage of thousands of handshakes must not count as memory of connections.
        if (devices.length >= gcFromDevices) globalThis.gc?.();
        return { missing: [] };
      }
      if (performance.now() >= endMs || this.#work.halted) {
        return { missing: await this.status({ devices: missing }) };
      }
      await this.#work.pause(pollMs);
    }
  }

  halt(): Promise<void> {
    this.#work.halted = true;
    return Promise.resolve();
  }

  flush(): Promise<void> {
    this.#tick();
    return Promise.resolve();
  }

  async close(): Promise<void> {
    this.#work.halted = true;
    this.#work.stopping = true;
    clearInterval(this.#ticking);
    await this.#observer?.close();
    // In slices, so that ten thousand disconnects do not block the process.
    const devices = [...this.#devices.all()];
    for (let first = 0; first < devices.length; first += disconnectConcurrency) {
      const slice = devices.slice(first, first + disconnectConcurrency);
      await Promise.all(slice.map((device) => device.disconnect('clean')));
    }
    this.#work.time.close();
  }

  #tick(): void {
    this.#emit(this.#ticks.take(this.#work.meter, this.#devices.all(), this.#work.clock));
  }

  #device(number: number): SimDevice {
    return this.#devices.get(number);
  }

  #service(phase: string): NonNullable<SetupParams['enroll']> {
    const { enroll } = this.#ready();
    if (enroll === undefined) throw new FlotillaError('sim-phase-unsupported', { detail: phase });
    return enroll;
  }

  #ready(): Setup {
    if (this.#setup === undefined) throw new Error('the worker was not set up');
    return this.#setup;
  }
}
