/**
 * The names that the services' own certificates carry.
 *
 * @module
 */
import { hostname } from 'node:os';
import { isDnsName, subjectNamesOf, type SubjectNames } from '../../certs/subject-names.ts';
import type { Config } from '../../core/config/config.ts';

/** localhost, the loopback addresses, the machine's name, the address listened on, and `names`. */
export function serverNames(config: Config): SubjectNames {
  const machine = hostname();
  const listened = config.host === '0.0.0.0' || config.host === '::' ? [] : [config.host];
  return subjectNamesOf([
    'localhost',
    '127.0.0.1',
    '::1',
    ...(isDnsName(machine) ? [machine] : []),
    ...listened,
    ...(config.enroll.url === undefined ? [] : [hostOf(config.enroll.url)]),
    ...config.names,
  ]);
}

function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, '');
}
