/**
 * Assigns devices to brokers. The assignment depends only on the device's number, so that devices,
 * observers and the controller agree without communication.
 *
 * @module
 */

/** The index of a device's broker. */
export function brokerIndexOf(device: number, brokers: number): number {
  return device % brokers;
}

/** A device's broker. @throws RangeError when the list is empty */
export function brokerOf<T>(brokers: readonly T[], device: number): T {
  const broker = brokers[brokerIndexOf(device, brokers.length)];
  if (broker === undefined) throw new RangeError('there is no broker');
  return broker;
}

/** How many of the devices belong to the broker at an index. */
export function devicesAt(index: number, brokers: number, devices: number): number {
  return Math.ceil((devices - index) / brokers);
}
