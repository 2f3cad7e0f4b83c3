/**
 * The host names and addresses in the server certificates of the services.
 *
 * @module
 */
import { hostname } from 'node:os';
import { isDnsName, subjectNamesOf, type SubjectNames } from '../../certs/subject-names.ts';
import type { Config } from '../../core/config/config.ts';

/**
 * The names of the enrollment service: those of a broker on this machine, and the host of `enroll.url`.
 */
export function serverNames(config: Config): SubjectNames {
  const { url } = config.enroll;
  return subjectNamesOf([...machineNames(config), ...(url === undefined ? [] : [hostOf(url)])]);
}

/**
 * `localhost`, the loopback addresses, the machine's name, the address of the listener, and `names` of the
 * configuration.
 */
export function brokerNames(config: Config): SubjectNames {
  return subjectNamesOf(machineNames(config));
}

function machineNames(config: Config): string[] {
  const machine = hostname();
  const listened = config.host === '0.0.0.0' || config.host === '::' ? [] : [config.host];
  return [
    'localhost',
    '127.0.0.1',
    '::1',
    ...(isDnsName(machine) ? [machine] : []),
    ...listened,
    ...config.names,
  ];
}

function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, '');
}
