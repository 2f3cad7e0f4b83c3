/**
 * The calls of the controller to its workers, and the messages of the workers. They are plain JSON,
 * because they are sent over a pipe to a child process, over MQTT to an agent on another host, or stay
 * in the same process.
 *
 * @module
 */
import type { DeviceCredential } from '../device/credential.ts';
import type { DeviceState } from '../device/sim-device.ts';
import type { Ranges } from '../measure/interval-set.ts';
import type { MeterData } from '../measure/meter.ts';
import type { Plan } from '../plan/plan-schema.ts';

/** The address of a broker and what is trusted there. */
export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
  /** PEM of the trusted certificates. */
  readonly ca: string;
}

export interface SetupParams {
  readonly plan: Plan;
  readonly seed: string;
  /** 8 hexadecimal digits. */
  readonly run: string;
  /** Devices are distributed over them, see fleet/broker-choice.ts. */
  readonly brokers: readonly BrokerAddress[];
  /** The enrollment service; undefined when the broker is not a Flotilla. */
  readonly enroll: { readonly url: string; readonly ca: string } | undefined;
  /** This worker carries the devices whose number modulo `of` is `index`. */
  readonly shard: { readonly index: number; readonly of: number };
  readonly sourceAddresses: readonly string[];
  /** Added to the worker's own clock, in ms; 0 on the controller's host. */
  readonly clockShiftMs: number;
}

/** A time that controller and workers share: ms since 1970. */
export type EpochMs = number;

export interface EnrollParams {
  readonly devices: readonly number[];
  /** In the order of `devices`. */
  readonly tokens: readonly string[];
  /** When each device starts, in the order of `devices`; undefined: as soon as possible. */
  readonly atMs: readonly EpochMs[] | undefined;
  readonly concurrency: number;
}

export interface EnrollResult {
  readonly failed: readonly { readonly device: number; readonly reason: string }[];
  /** Fingerprints of the public keys, to show that all are different. */
  readonly keys: readonly string[];
}

export interface ConnectParams {
  readonly devices: readonly number[];
  readonly atMs: readonly EpochMs[];
}

export interface TrafficParams {
  readonly phase: string;
  readonly devices: readonly number[];
  readonly startMs: EpochMs;
  readonly endMs: EpochMs;
  readonly factor: number;
}

export interface CommandParams {
  /** The device and the time of each command, in order of time. */
  readonly commands: readonly { readonly device: number; readonly atMs: EpochMs }[];
  readonly qos: 0 | 1 | 2;
  readonly bytes: number;
  /** Whether devices reply. */
  readonly reply: boolean;
  /** Whether each command counts as expected. */
  readonly accounted: boolean;
}

/** Sequence numbers of one device: acknowledged messages, and received commands. */
export interface DeviceAccount {
  readonly device: number;
  readonly settled: Ranges;
  readonly commands: Ranges;
  readonly hadGap: boolean;
}

/** Sequence numbers that one observer received and sent. */
export interface ObserverAccount {
  /** The index of its broker. */
  readonly broker: number;
  readonly received: readonly { readonly device: number; readonly ranges: Ranges }[];
  /** Commands that the broker acknowledged. */
  readonly commanded: readonly { readonly device: number; readonly ranges: Ranges }[];
}

export interface DeviceStatus {
  readonly device: number;
  readonly state: DeviceState;
  readonly everOnline: boolean;
  readonly reason: string | undefined;
  /** Different commands that it received. */
  readonly commands: number;
}

/** One attempt to connect as a device, for drills. */
export interface AttemptParams {
  readonly device: number;
  /** Offers the TLS session of the device's last connection. */
  readonly resume: boolean;
  /** Used instead of the device's own client id. */
  readonly clientId?: string;
  readonly holdMs: number;
}

export interface AttemptResult {
  readonly outcome: 'accepted' | 'refused';
  readonly reason: string;
  readonly resumeOffered: boolean;
  readonly resumed: boolean;
  readonly elapsedMs: number;
}

/** Every call, by name. */
export interface WorkerCalls {
  /** The worker's own clock, without its shift. */
  clock(params: object): Promise<{ readonly atMs: EpochMs }>;
  setup(params: SetupParams): Promise<void>;
  /** Loads keys and certificates from a file of this host. */
  load(params: { readonly path: string }): Promise<{ readonly loaded: number }>;
  adopt(params: {
    readonly credentials: readonly (DeviceCredential & { readonly device: number })[];
  }): Promise<void>;
  enroll(params: EnrollParams): Promise<EnrollResult>;
  /** The current credentials of devices, to store them. */
  credentials(params: {
    readonly devices: readonly number[];
  }): Promise<readonly DeviceCredential[]>;
  connect(params: ConnectParams): Promise<void>;
  /** Resolves when all scheduled messages were sent. */
  traffic(params: TrafficParams): Promise<void>;
  /** Ends connections; the devices reconnect. */
  dropConnections(params: ConnectParams & { readonly how: 'clean' | 'abrupt' }): Promise<void>;
  disconnect(params: {
    readonly devices: readonly number[];
    readonly how: 'clean' | 'abrupt';
  }): Promise<void>;
  /** Each device disconnects at one time and reconnects at another. */
  churn(params: ConnectParams & { readonly backAtMs: readonly EpochMs[] }): Promise<void>;
  /** How many connections were lost unexpectedly, without those of `except`. */
  drops(params: { readonly except: readonly number[] }): Promise<{ readonly drops: number }>;
  /** These devices reconnect, and keep their TLS sessions from now on. */
  keepSessions(params: { readonly devices: readonly number[] }): Promise<void>;
  /** Each device sends one message of its first stream. */
  sendOne(params: { readonly devices: readonly number[] }): Promise<void>;
  /** Topics that devices received although they belong to other devices. */
  leaks(params: {
    readonly devices: readonly number[];
  }): Promise<{ readonly topics: readonly string[] }>;
  /** @param params `onlyDue`: not before the time that the service names to each device */
  renew(params: ConnectParams & { readonly rekey: boolean; readonly onlyDue: boolean }): Promise<{
    readonly notDue: number;
    readonly failed: readonly { readonly device: number; readonly reason: string }[];
  }>;
  /** Resolves when the connection of a device ends; null after `timeoutMs`. */
  watchClose(params: { readonly device: number; readonly timeoutMs: number }): Promise<{
    readonly atMs: EpochMs;
    readonly reason: string;
  } | null>;
  attempt(params: AttemptParams): Promise<AttemptResult>;
  subscribe(params: {
    readonly device: number;
    readonly filter: string;
    readonly qos: 0 | 1 | 2;
  }): Promise<{
    readonly code: number | null;
    readonly reason: string;
  }>;
  unsubscribe(params: { readonly device: number; readonly filter: string }): Promise<void>;
  publish(params: {
    readonly device: number;
    readonly topic: string;
    readonly payload: string;
    readonly qos: 0 | 1 | 2;
  }): Promise<{
    readonly failure: string | null;
    readonly stillOnline: boolean;
  }>;
  pauseReading(params: {
    readonly devices: readonly number[];
    readonly paused: boolean;
  }): Promise<void>;
  /** Waits until all devices are online. Resolves with those that are not after `timeoutMs`. */
  awaitOnline(params: {
    readonly devices: readonly number[];
    readonly timeoutMs: number;
  }): Promise<{
    readonly missing: readonly DeviceStatus[];
  }>;
  status(params: { readonly devices: readonly number[] }): Promise<readonly DeviceStatus[]>;
  /** Waits until no message is in flight, at most `timeoutMs`. */
  settle(params: { readonly timeoutMs: number }): Promise<{ readonly unsettled: number }>;
  account(params: {
    readonly from: number;
    readonly count: number;
  }): Promise<readonly DeviceAccount[]>;
  observe(params: {
    readonly name: string;
    readonly key: string;
    readonly chain: string;
    readonly filters: readonly string[];
    readonly client: 'mqttjs' | 'light';
    /** The index of the broker to connect to. */
    readonly broker: number;
  }): Promise<void>;
  command(params: CommandParams): Promise<void>;
  observerAccount(params: object): Promise<ObserverAccount>;
  /** Drops scheduled work; connections stay open. */
  halt(params: object): Promise<void>;
  /** Sends a tick immediately. */
  flush(params: object): Promise<void>;
  close(params: object): Promise<void>;
}

export type CallName = keyof WorkerCalls;
export type ParamsOf<K extends CallName> = Parameters<WorkerCalls[K]>[0];
export type ResultOf<K extends CallName> = Awaited<ReturnType<WorkerCalls[K]>>;

/** The measurements that a worker sends every second. */
export interface Tick {
  readonly atMs: EpochMs;
  readonly meter: MeterData;
  readonly devices: Readonly<Record<DeviceState, number>>;
  readonly everOnline: number;
  readonly cpuMs: number;
  readonly rssBytes: number;
  /** Share of the time during which the event loop was busy, 0 to 1. */
  readonly loopBusy: number;
}

/** From the controller. */
export interface CallMessage {
  readonly call: number;
  readonly name: CallName;
  readonly params: unknown;
}

/** To the controller. */
export type WorkerMessage =
  | { readonly kind: 'result'; readonly call: number; readonly result: unknown }
  | {
      readonly kind: 'error';
      readonly call: number;
      readonly code: string;
      readonly message: string;
    }
  | { readonly kind: 'tick'; readonly tick: Tick };
