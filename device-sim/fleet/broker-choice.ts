/**
 * Which of several brokers a device belongs to. It follows from its number alone, so that devices,
 * the subscribers that check them, and the account agree without a word.
 *
 * @module
 */

/** The place of a device's broker in the list of all. */
export function brokerIndexOf(device: number, brokers: number): number {
  return device % brokers;
}

/** A device's broker. @throws RangeError when there is none */
export function brokerOf<T>(brokers: readonly T[], device: number): T {
  const broker = brokers[brokerIndexOf(device, brokers.length)];
  if (broker === undefined) throw new RangeError('a run without a broker');
  return broker;
}

/** How many of so many devices belong to one broker. */
export function devicesAt(index: number, brokers: number, devices: number): number {
  return Math.ceil((devices - index) / brokers);
}
