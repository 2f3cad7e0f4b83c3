/**
 * Settings that take effect without a restart. Services keep the configuration that they were started with; those of
 * its settings that are read at each use are replaced when the files are read again. All others keep their value, so that
 * no part of a service works with another value than the rest.
 *
 * @module
 */
import type { Config } from './config.ts';

/** Settings, and sections of settings, that take effect at a reload. */
export const liveSettings: readonly string[] = [
  'log.level',
  'names',
  'proxies',
  'enroll.tokenTtl',
  'enroll.importedTokenTtl',
  'enroll.certificateValidity',
  'enroll.serverCertificateValidity',
  'enroll.renewal',
  'enroll.renewWithdrawn',
  'enroll.tokenReplay',
  'enroll.profiles',
  'enroll.approval',
  'enroll.operators.sessionTtl',
  'enroll.operators.linkTtl',
  'limits.broker.connectionsMax',
  'limits.broker.handshakesRunningMax',
  'limits.broker.handshakesPerSecondMax',
  'limits.broker.handshakesPerAddressPerSecondMax',
  'limits.broker.sessionsPerDeviceMax',
  'limits.broker.topicMaxBytes',
  'limits.broker.topicLevelsMax',
  'limits.broker.inflightInMax',
  'limits.broker.inflightOutMax',
  'limits.broker.keepAliveMaxSeconds',
  'limits.broker.outboundStalledMaxMs',
  'limits.enroll.certificatesPerIdentityMax',
  'limits.enroll.requestsPendingMax',
  'limits.enroll.pageMaxItems',
  'limits.enroll.tokensPerRequestMax',
];

/** What differs between the configuration in force and another one. */
export interface ConfigChange {
  /** Settings that are in force now. */
  readonly applied: readonly string[];
  /** Settings that keep their value until a restart. */
  readonly restart: readonly string[];
}

export class LiveConfig {
  /** For services: the live settings in it change. */
  readonly config: Config;
  readonly #started: Config;
  #current: Config;

  constructor(config: Config) {
    this.#started = config;
    this.#current = config;
    this.config = structuredClone(config);
  }

  /** Puts the live settings of a configuration in force. */
  apply(next: Config): ConfigChange {
    const restart = changedSettings(this.#started, next).filter((name) => !isLive(name));
    const applied = changedSettings(this.#current, next).filter((name) => isLive(name));
    this.#current = next;
    for (const name of liveSettings) replaceSetting(this.config, next, name.split('.'));
    return { applied, restart };
  }
}

/** The names of the settings that differ, like `enroll.tokenTtl`. */
export function changedSettings(before: Config, after: Config): readonly string[] {
  const old = leavesOf(before);
  const fresh = leavesOf(after);
  const names = new Set([...old.keys(), ...fresh.keys()]);
  return [...names].filter((name) => old.get(name) !== fresh.get(name)).sort();
}

/** Plain values, because the broker reads limits for every message. */
function replaceSetting(config: Config, next: Config, path: readonly string[]): void {
  const section = valueAt(config, path.slice(0, -1));
  if (typeof section !== 'object' || section === null) return;
  Reflect.set(section, path.at(-1) ?? '', structuredClone(valueAt(next, path)));
}

function isLive(name: string): boolean {
  return liveSettings.some((one) => name === one || name.startsWith(`${one}.`));
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  let found = value;
  for (const part of path) {
    if (typeof found !== 'object' || found === null) return undefined;
    found = Reflect.get(found, part);
  }
  return found;
}

function leavesOf(
  value: unknown,
  path = '',
  found = new Map<string, string>(),
): Map<string, string> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value)) {
      leavesOf(inner, path === '' ? key : `${path}.${key}`, found);
    }
  } else if (value !== undefined) {
    found.set(path, JSON.stringify(value));
  }
  return found;
}
