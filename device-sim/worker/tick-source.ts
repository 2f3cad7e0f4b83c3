/**
 * Makes the tick that a worker sends every second: measurements, device states, CPU and memory.
 *
 * @module
 */
import type { DeviceState, SimDevice } from '../device/sim-device.ts';
import type { Meter } from '../measure/meter.ts';
import type { SharedClock } from '../traffic/shared-clock.ts';
import type { Tick } from './protocol.ts';

export class TickSource {
  #cpu = process.cpuUsage();
  #loop = performance.eventLoopUtilization();

  /** Empties the meter. CPU time and busy share are those since the last tick. */
  take(meter: Meter, ownDevices: Iterable<SimDevice>, clock: SharedClock): Tick {
    const devices: Record<DeviceState, number> = {
      new: 0,
      enrolled: 0,
      connecting: 0,
      online: 0,
      offline: 0,
      failed: 0,
    };
    let everOnline = 0;
    for (const device of ownDevices) {
      devices[device.state]++;
      if (device.everOnline) everOnline++;
    }
    const cpu = process.cpuUsage();
    const loop = performance.eventLoopUtilization();
    const loopBusy = performance.eventLoopUtilization(loop, this.#loop).utilization;
    const cpuMs = (cpu.user - this.#cpu.user + cpu.system - this.#cpu.system) / 1000;
    this.#cpu = cpu;
    this.#loop = loop;
    return {
      atMs: clock.now(),
      meter: meter.take(),
      devices,
      everOnline,
      cpuMs,
      rssBytes: process.memoryUsage.rss(),
      loopBusy,
    };
  }
}
