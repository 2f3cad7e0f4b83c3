/**
 * What the controller asks of its workers, and what they tell it: plain JSON, because the same words
 * travel over the pipe to a child process, over MQTT to an agent on another host, or nowhere.
 *
 * @module
 */
import type { Credential } from '../device/credential.ts';
import type { DeviceState } from '../device/sim-device.ts';
import type { Ranges } from '../measure/interval-set.ts';
import type { MeterData } from '../measure/meter.ts';
import type { Plan } from '../plan/plan-schema.ts';

/** Where the broker is. */
export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
  /** PEM of what is trusted. */
  readonly ca: string;
}

export interface SetupParams {
  readonly plan: Plan;
  readonly seed: string;
  /** 8 hexadecimal digits. */
  readonly run: string;
  /** Devices are spread over them, see broker-choice.ts. */
  readonly brokers: readonly BrokerAddress[];
  /** Where devices enroll; undefined when the broker is not a Flotilla. */
  readonly enroll: { readonly url: string; readonly ca: string } | undefined;
  /** This worker carries the devices whose number leaves `index` when divided by `of`. */
  readonly shard: { readonly index: number; readonly of: number };
  readonly sourceAddresses: readonly string[];
  /** What an agent must add to its own clock, in ms; 0 on the controller's host. */
  readonly clockShiftMs: number;
}

/** A time that both sides understand: ms since 1970. */
export type EpochMs = number;

export interface EnrollParams {
  readonly devices: readonly number[];
  /** In the order of `devices`. */
  readonly tokens: readonly string[];
  /** When each is meant to begin, in the order of `devices`; at once when undefined. */
  readonly atMs: readonly EpochMs[] | undefined;
  readonly concurrency: number;
}

export interface EnrollResult {
  readonly failed: readonly { readonly device: number; readonly reason: string }[];
  /** Fingerprints of the public keys, to prove that no two are the same. */
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
  /** Which device gets a command when, in order of time. */
  readonly commands: readonly { readonly device: number; readonly atMs: EpochMs }[];
  readonly qos: 0 | 1 | 2;
  readonly bytes: number;
  /** Whether devices are to answer. */
  readonly reply: boolean;
  /** Whether each must arrive. */
  readonly accounted: boolean;
}

/** The account of one device: what must have arrived, and what did. */
export interface DeviceAccount {
  readonly device: number;
  readonly settled: Ranges;
  readonly commands: Ranges;
  readonly hadGap: boolean;
}

/** The account of an observer. */
export interface ObserverAccount {
  /** The place of the broker that it listens at. */
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
  /** Commands that arrived, each once. */
  readonly commands: number;
}

/** One try to connect in the name of a device, for drills. */
export interface AttemptParams {
  readonly device: number;
  /** Offer the TLS session of the device's last connection. */
  readonly resume: boolean;
  /** Instead of the device's own. */
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
  /** The worker's own clock, ms since 1970, unshifted. */
  clock(params: object): Promise<{ readonly atMs: EpochMs }>;
  setup(params: SetupParams): Promise<void>;
  /** Takes over keys and certificates made earlier, from a file of this host. */
  load(params: { readonly path: string }): Promise<{ readonly loaded: number }>;
  adopt(params: {
    readonly credentials: readonly (Credential & { readonly device: number })[];
  }): Promise<void>;
  enroll(params: EnrollParams): Promise<EnrollResult>;
  /** What devices hold, to keep it on disk. */
  credentials(params: { readonly devices: readonly number[] }): Promise<readonly Credential[]>;
  connect(params: ConnectParams): Promise<void>;
  /** Resolves when all that was due was sent. */
  traffic(params: TrafficParams): Promise<void>;
  /** Connections break; the devices come back by themselves. */
  dropConnections(params: ConnectParams & { readonly how: 'clean' | 'abrupt' }): Promise<void>;
  disconnect(params: {
    readonly devices: readonly number[];
    readonly how: 'clean' | 'abrupt';
  }): Promise<void>;
  /** Goes at the one time and comes back at the other, for each device. */
  churn(params: ConnectParams & { readonly backAtMs: readonly EpochMs[] }): Promise<void>;
  /** How often devices lost their connection unasked, those left out. */
  drops(params: { readonly except: readonly number[] }): Promise<{ readonly drops: number }>;
  /** From now on these keep their TLS sessions, beginning with a new connection. */
  keepSessions(params: { readonly devices: readonly number[] }): Promise<void>;
  /** Each sends one message of its first stream, as its schedule would. */
  sendOne(params: { readonly devices: readonly number[] }): Promise<void>;
  /** Topics that arrived at devices that they do not belong to. */
  leaks(params: {
    readonly devices: readonly number[];
  }): Promise<{ readonly topics: readonly string[] }>;
  renew(params: ConnectParams & { readonly rekey: boolean }): Promise<{
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
  /** Waits until all of them are online; tells who is not after `timeoutMs`. */
  awaitOnline(params: {
    readonly devices: readonly number[];
    readonly timeoutMs: number;
  }): Promise<{
    readonly missing: readonly DeviceStatus[];
  }>;
  status(params: { readonly devices: readonly number[] }): Promise<readonly DeviceStatus[]>;
  /** Waits until nothing is under way, at most so long. */
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
    /** The place of the broker to listen at. */
    readonly broker: number;
  }): Promise<void>;
  command(params: CommandParams): Promise<void>;
  observerAccount(params: object): Promise<ObserverAccount>;
  /** No new work: what is scheduled is dropped, connections stay. */
  halt(params: object): Promise<void>;
  /** Sends a tick at once. */
  flush(params: object): Promise<void>;
  close(params: object): Promise<void>;
}

export type CallName = keyof WorkerCalls;
export type ParamsOf<K extends CallName> = Parameters<WorkerCalls[K]>[0];
export type ResultOf<K extends CallName> = Awaited<ReturnType<WorkerCalls[K]>>;

/** What a worker tells unasked, every second. */
export interface Tick {
  readonly atMs: EpochMs;
  readonly meter: MeterData;
  readonly devices: Readonly<Record<DeviceState, number>>;
  readonly everOnline: number;
  readonly cpuMs: number;
  readonly rssBytes: number;
  /** Share of the time in which the event loop was busy, 0 to 1. */
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
