/**
 * Programs of the operating system that tests use: openssl, mosquitto_pub, pki.
 *
 * @module
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { ExecutionContext } from 'ava';

const system = ['/usr/bin', '/bin', '/usr/sbin', '/sbin'];

const packages: Readonly<Record<string, string>> = {
  curl: 'curl',
  dash: 'dash',
  apache2: 'apache2',
  fish: 'fish',
  haproxy: 'haproxy',
  jq: 'jq',
  mosquitto: 'mosquitto',
  mosquitto_pub: 'mosquitto-clients',
  mosquitto_rr: 'mosquitto-clients',
  mosquitto_sub: 'mosquitto-clients',
  nginx: 'nginx-light',
  nsenter: 'util-linux',
  openssl: 'openssl',
  pki: 'strongswan-pki',
  promtool: 'prometheus',
  python3: 'python3-paho-mqtt',
  'softhsm2-util': 'softhsm2',
  stunnel4: 'stunnel4',
  faketime: 'faketime',
  'systemd-analyze': 'systemd',
  'systemd-notify': 'systemd',
  tini: 'tini',
  unshare: 'util-linux',
  zsh: 'zsh',
};

/**
 * The path of a program, or undefined if the machine does not have it: then the test has passed with a
 * message and should return. With FLOTILLA_TEST_NO_SKIP set, as in .ci/run, a missing program fails the
 * test instead.
 *
 * ```ts
 * const openssl = debianTool(t, 'openssl');
 * if (openssl === undefined) return;
 * ```
 */
export function debianTool(
  t: Pick<ExecutionContext, 'log' | 'pass' | 'title'>,
  name: string,
): string | undefined {
  // The programs of the system first: packages and version managers install others with the same
  // names, which lack the Debian packages (python3 without paho).
  const searched = (process.env['PATH'] ?? '').split(delimiter);
  const elsewhere = searched.filter((folder) => folder !== '' && !folder.includes('node_modules'));
  for (const folder of [...system, ...elsewhere]) {
    const path = join(folder, name);
    if (executable(path)) return path;
  }
  const message = `${name} is missing (Debian package ${packages[name] ?? name})`;
  if (process.env['FLOTILLA_TEST_NO_SKIP']) throw new Error(`${message}; here nothing is skipped`);
  t.log(`SKIPPED ${t.title}: ${message}`);
  t.pass();
  return undefined;
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
