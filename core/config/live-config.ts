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
    const view = structuredClone(config);
    for (const name of liveSettings) this.#replace(view, name.split('.'));
    this.config = view;
  }

  /** Puts the live settings of a configuration in force. */
  apply(next: Config): ConfigChange {
    const restart = changedSettings(this.#started, next).filter((name) => !isLive(name));
    const applied = changedSettings(this.#current, next).filter((name) => isLive(name));
    this.#current = next;
    return { applied, restart };
  }

  /** Makes one setting of the view return the current value. */
  #replace(view: Config, path: readonly string[]): void {
    const last = path.at(-1) ?? '';
    const section = valueAt(view, path.slice(0, -1));
    if (typeof section !== 'object' || section === null) return;
    Object.defineProperty(section, last, {
      enumerable: true,
      configurable: true,
      get: () => valueAt(this.#current, path),
    });
  }
}

/** The names of the settings that differ, like `enroll.tokenTtl`. */
export function changedSettings(before: Config, after: Config): readonly string[] {
  const old = leavesOf(before);
  const fresh = leavesOf(after);
  const names = new Set([...old.keys(), ...fresh.keys()]);
  return [...names].filter((name) => old.get(name) !== fresh.get(name)).sort();
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
