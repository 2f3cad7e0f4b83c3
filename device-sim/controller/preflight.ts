/**
 * Checks before the first device connects: open files, ports, the brokers.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { dial, failureOf } from '../device/dial.ts';
import { devicesAt } from '../fleet/broker-choice.ts';
import type { HostPort } from '../fleet/target.ts';
import { listeningPid, openFilesLimitOf } from './broker-process.ts';

/** Files that a process needs in addition to one per device. */
const filesReserved = 120;

/** Limits of this machine; undefined when they cannot be read. */
export interface MachineLimits {
  readonly openFiles: number | undefined;
  readonly ports: number | undefined;
}

/** Reads the limits of this process and host. They are only known on Linux. */
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
 * Checks that this machine has enough file descriptors and ports for the fleet.
 *
 * @param addresses number of source addresses; 1 when the plan names none
 * @throws FlotillaError `sim-file-descriptors`, `sim-ports`: with the number needed
 */
export function checkLocalLimits(
  devices: number,
  workers: number,
  addresses: number,
  limits: MachineLimits,
): void {
  const files = Math.ceil(devices / workers) + filesReserved;
  if (limits.openFiles !== undefined && files > limits.openFiles) {
    const enough = Math.ceil(devices / Math.max(1, limits.openFiles - filesReserved));
    throw new FlotillaError('sim-file-descriptors', {
      detail: `${devices} devices on ${workers} workers need ${files} files per worker, ${limits.openFiles} are allowed: run ulimit -n ${files}, or set run.workers: ${enough}`,
    });
  }
  // Keep a tenth free for connections in TIME_WAIT and for other programs.
  const ports = limits.ports === undefined ? undefined : Math.floor(limits.ports * 0.9) * addresses;
  if (ports !== undefined && devices > ports) {
    const needed = Math.ceil(devices / Math.floor((limits.ports ?? 1) * 0.9));
    throw new FlotillaError('sim-ports', {
      detail: `${devices} devices need ${devices} ports, ${addresses} source addresses have ${ports}: ${needed} addresses are needed`,
    });
  }
}

/**
 * Checks that a broker on this machine may open a file for each device. The check is skipped when the
 * limit cannot be read: the broker runs elsewhere or belongs to another user.
 *
 * @throws FlotillaError `sim-file-descriptors`
 */
export function checkBrokerFileLimit(devices: number, openFiles: number | undefined): void {
  const needed = devices + filesReserved;
  if (openFiles === undefined || needed <= openFiles) return;
  throw new FlotillaError('sim-file-descriptors', {
    detail: `the broker's process may open ${openFiles} files and needs ${needed} for ${devices} devices: run ulimit -n ${needed} before starting it`,
  });
}

/**
 * Checks that all brokers answer with a trusted certificate and, where they run on this machine, may
 * open enough files.
 *
 * @throws FlotillaError `sim-file-descriptors`, `sim-target-unreachable`, `sim-target-untrusted`
 */
export async function checkBrokers(
  addresses: readonly HostPort[],
  ca: string,
  devices: number,
): Promise<void> {
  // One process may listen on several addresses.
  const devicesByPid = new Map<number, number>();
  for (const [index, address] of addresses.entries()) {
    const pid = listeningPid(address);
    const share = devicesAt(index, addresses.length, devices);
    if (pid !== undefined) devicesByPid.set(pid, (devicesByPid.get(pid) ?? 0) + share);
  }
  for (const [pid, share] of devicesByPid) checkBrokerFileLimit(share, openFilesLimitOf(pid));
  for (const address of addresses) await checkBroker(address, ca);
}

/**
 * Checks that a broker answers with a trusted certificate.
 *
 * @throws FlotillaError `sim-target-unreachable`, `sim-target-untrusted`: with the address and the
 *   error of TCP or TLS
 */
async function checkBroker(address: HostPort, ca: string, timeoutMs = 5000): Promise<void> {
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
      // An alert about our missing certificate proves that a TLS server listens there.
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
          detail: `${where}: the server closed the connection during the handshake`,
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
