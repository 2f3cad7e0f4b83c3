/**
 * Compares at the end of a run what the broker acknowledged with what was delivered, for each device
 * and sequence number.
 *
 * @module
 */
import { brokerIndexOf } from '../fleet/broker-choice.ts';
import { missingFrom, sizeOfRanges, type Ranges } from '../measure/interval-set.ts';
import type { Meter } from '../measure/meter.ts';
import type { MessageCounts } from '../report/report-model.ts';
import type { DeviceAccount, ObserverAccount } from '../worker/protocol.ts';
import type { WorkerPool } from '../worker/worker-pool.ts';

export interface Account {
  readonly telemetry: MessageCounts;
  readonly commands: MessageCounts & { readonly undeliverable: number };
  /** The first losses, for the report: device number and ranges of sequence numbers. */
  readonly losses: readonly { readonly device: number; readonly ranges: Ranges }[];
}

const sliceDevices = 1000;
const lossesMax = 20;

/** Collects the sequence numbers of all workers. */
export async function collectAccounts(pool: WorkerPool): Promise<{
  devices: DeviceAccount[];
  observers: ObserverAccount[];
}> {
  const devices: DeviceAccount[] = [];
  for (const worker of pool.deviceWorkers) {
    for (let from = 0; ; from += sliceDevices) {
      const part = await worker.call('account', { from, count: sliceDevices });
      devices.push(...part);
      if (part.length < sliceDevices) break;
    }
  }
  const observers = await Promise.all(
    pool.observers.map((worker) => worker.call('observerAccount', {})),
  );
  return { devices, observers };
}

/**
 * Computes what was lost and duplicated. Pure.
 *
 * @param brokers number of brokers: each observer only counts the devices of its own broker
 */
export function settleAccount(
  devices: readonly DeviceAccount[],
  observers: readonly ObserverAccount[],
  totals: Meter,
  brokers = 1,
): Account {
  const losses: { device: number; ranges: Ranges }[] = [];
  const received = observers.map(({ broker, received: ranges }) => ({
    broker,
    receivedBy: new Map(ranges.map((item) => [item.device, item.ranges])),
  }));
  let expected = 0;
  let lost = 0;
  for (const { device, settled } of devices) {
    for (const { broker, receivedBy } of received) {
      if (brokerIndexOf(device, brokers) !== broker) continue;
      expected += sizeOfRanges(settled);
      const missing = missingFrom(settled, receivedBy.get(device) ?? []);
      lost += sizeOfRanges(missing);
      if (missing.length > 0 && losses.length < lossesMax) losses.push({ device, ranges: missing });
    }
  }
  const byNumber = new Map(devices.map((account) => [account.device, account]));
  let commandsExpected = 0;
  let commandsLost = 0;
  let undeliverable = 0;
  for (const { commanded } of observers) {
    for (const { device, ranges } of commanded) {
      const account = byNumber.get(device);
      const missing = sizeOfRanges(missingFrom(ranges, account?.commands ?? []));
      // A clean session that ends discards its messages in flight, as MQTT allows.
      if (account?.hadGap === true) undeliverable += missing;
      else commandsLost += missing;
      commandsExpected += sizeOfRanges(ranges) - (account?.hadGap === true ? missing : 0);
    }
  }
  return {
    telemetry: {
      published: totals.counter('published'),
      acknowledged: totals.counter('acknowledged'),
      expected,
      delivered: expected - lost,
      lost,
      duplicated: totals.counter('duplicated'),
      misdelivered: totals.counter('misdelivered'),
    },
    commands: {
      published: totals.counter('commandsSent'),
      acknowledged: totals.counter('commandsAcknowledged'),
      expected: commandsExpected,
      delivered: commandsExpected - commandsLost,
      lost: commandsLost,
      duplicated: totals.counter('commandsDuplicated'),
      misdelivered: totals.counter('commandsMisdelivered'),
      undeliverable,
    },
    losses,
  };
}

/** Adds two sets of counts. */
export function sumOf(one: MessageCounts, two: MessageCounts): MessageCounts {
  return {
    published: one.published + two.published,
    acknowledged: one.acknowledged + two.acknowledged,
    expected: one.expected + two.expected,
    delivered: one.delivered + two.delivered,
    lost: one.lost + two.lost,
    duplicated: one.duplicated + two.duplicated,
    misdelivered: one.misdelivered + two.misdelivered,
  };
}
