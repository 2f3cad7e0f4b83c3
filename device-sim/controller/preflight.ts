/**
 * What can be known to go wrong before the first device connects: files, ports, the broker.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { dial, failureOf } from '../device/dial.ts';
import type { HostPort } from '../fleet/target.ts';

/** Files that a worker needs beside one for each device. */
const filesBeside = 120;

/** What the machine allows; undefined where it cannot be read. */
export interface MachineLimits {
  readonly openFiles: number | undefined;
  readonly ports: number | undefined;
}

/** Reads the limits of this process and host (Linux; elsewhere nothing is known). */
export function machineLimits(): MachineLimits {
  const limits = readText('/proc/self/limits');
  const files = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
  const [low, high] = readText('/proc/sys/net/ipv4/ip_local_port_range').trim().split(/\s+/);
  return {
    openFiles: files === undefined ? undefined : files === 'unlimited' ? Infinity : Number(files),
    ports: low === undefined || high === undefined ? undefined : Number(high) - Number(low) + 1,
  };
}

/**
 * Checks that the fleet fits.
 *
 * @param addresses how many source addresses there are; 1 when none were given
 * @throws FlotillaError `sim-file-descriptors`, `sim-ports`: with the number needed
 */
export function checkRoom(
  devices: number,
  workers: number,
  addresses: number,
  limits: MachineLimits,
): void {
  const files = Math.ceil(devices / workers) + filesBeside;
  if (limits.openFiles !== undefined && files > limits.openFiles) {
    const enough = Math.ceil(devices / Math.max(1, limits.openFiles - filesBeside));
    throw new FlotillaError('sim-file-descriptors', {
      detail: `${devices} devices on ${workers} workers need ${files} files each, ${limits.openFiles} are allowed: ulimit -n ${files}, or run.workers: ${enough}`,
    });
  }
  // A tenth stays free for connections that linger in TIME_WAIT and for the rest of the machine.
  const ports = limits.ports === undefined ? undefined : Math.floor(limits.ports * 0.9) * addresses;
  if (ports !== undefined && devices > ports) {
    const needed = Math.ceil(devices / Math.floor((limits.ports ?? 1) * 0.9));
    throw new FlotillaError('sim-ports', {
      detail: `${devices} devices need ${devices} ports, ${addresses} source addresses give ${ports}: ${needed} addresses are needed`,
    });
  }
}

/**
 * Checks that a broker on this machine may open a file for each device. What it does not tell (it is
 * elsewhere, or belongs to somebody else) is not checked.
 *
 * @throws FlotillaError `sim-file-descriptors`
 */
export function checkBrokerRoom(devices: number, openFiles: number | undefined): void {
  const needed = devices + filesBeside;
  if (openFiles === undefined || needed <= openFiles) return;
  throw new FlotillaError('sim-file-descriptors', {
    detail: `the broker's own process may open ${openFiles} files and needs ${needed} for ${devices} devices: start it after ulimit -n ${needed}`,
  });
}

/**
 * Checks that the broker answers and proves itself.
 *
 * @throws FlotillaError `sim-target-unreachable`, `sim-target-untrusted`: naming the address and the
 *   error of TCP or TLS
 */
export async function checkBroker(address: HostPort, ca: string, timeoutMs = 5000): Promise<void> {
  const { host, port } = address;
  const where = `${host}:${port}`;
  await new Promise<void>((resolve, reject) => {
    const { socket, timing } = dial({ host, port, ca, identity: undefined });
    const timer = setTimeout(() => {
      socket.destroy();
      const what = timing.tcpMs === undefined ? 'no TCP connection' : 'no TLS handshake';
      reject(
        new FlotillaError('sim-target-unreachable', {
          detail: `${where}: ${what} within ${timeoutMs} ms`,
        }),
      );
    }, timeoutMs);
    const settle = (error?: FlotillaError): void => {
      clearTimeout(timer);
      socket.destroy();
      if (error === undefined) resolve();
      else reject(error);
    };
    socket.once('secureConnect', () => settle());
    socket.on('error', (error) => {
      const { reason, detail } = failureOf(error, false);
      // An alert about our missing certificate means: it is there, and it is TLS.
      if (/^tls-alert-(?:certificate-required|handshake-failure|bad-certificate)$/.test(reason))
        settle();
      else if (reason === 'tls-untrusted') {
        settle(
          new FlotillaError('sim-target-untrusted', {
            detail: `${where}: ${detail}`,
            cause: error,
          }),
        );
      } else {
        settle(
          new FlotillaError('sim-target-unreachable', {
            detail: `${where}: ${reason} (${detail})`,
            cause: error,
          }),
        );
      }
    });
    socket.once('close', () => {
      settle(
        new FlotillaError('sim-target-unreachable', {
          detail: `${where}: it closed the connection during the handshake`,
        }),
      );
    });
  });
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
