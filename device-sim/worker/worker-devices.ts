/**
 * The devices of a worker by their number.
 *
 * @module
 */
import type { SimDevice } from '../device/sim-device.ts';
import type { DeviceAccount, DeviceStatus } from './protocol.ts';

export class WorkerDevices {
  readonly #devices = new Map<number, SimDevice>();

  add(device: SimDevice): void {
    this.#devices.set(device.number, device);
  }

  /** The device; undefined when another worker carries it. */
  find(number: number): SimDevice | undefined {
    return this.#devices.get(number);
  }

  /** @throws RangeError when another worker carries it */
  get(number: number): SimDevice {
    const device = this.#devices.get(number);
    if (device === undefined) throw new RangeError(`device number ${number} is not carried here`);
    return device;
  }

  /** @throws RangeError when another worker carries one of them */
  getMany(numbers: readonly number[]): SimDevice[] {
    return numbers.map((number) => this.get(number));
  }

  all(): IterableIterator<SimDevice> {
    return this.#devices.values();
  }
}

/** The state of a device. */
export function statusOf(device: SimDevice): DeviceStatus {
  const { number, state, everOnline, lastFailure, online, commands } = device;
  return {
    device: number,
    state: state === 'online' && !online ? 'offline' : state,
    everOnline,
    reason: lastFailure?.reason,
    commands: commands.size,
  };
}

/** The sequence numbers that a device sent and received. */
export function accountOf({ number, settled, commands, hadGap }: SimDevice): DeviceAccount {
  return { device: number, settled: settled.toRanges(), commands: commands.toRanges(), hadGap };
}
