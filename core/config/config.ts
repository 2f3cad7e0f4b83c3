/**
 * The configuration: defaults < flotilla.yaml < `FLOTILLA_*` < flags. Unknown settings are rejected
 * and the result is frozen. A setting without a value (`host:`, or an empty variable) counts as not set.
 *
 * A setting `broker.mqttsPort` is `FLOTILLA_BROKER__MQTTS_PORT` in the environment: two underscores
 * between sections, one between the words of a name; the value is read as YAML.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import {
  isCollection,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  parseDocument,
  visit,
  type Document,
} from 'yaml';
import { configSchema, type Config, type ConfigInput } from './config-schema.ts';
import { printable } from '../escape.ts';
import { FlotillaError } from '../errors/flotilla-error.ts';
import { faultOf } from '../issue-text.ts';
import { settingSuggestion } from '../setting-suggestion.ts';

export type { Config, ConfigInput } from './config-schema.ts';

export interface ConfigSources {
  /** flotilla.yaml; a missing file counts as empty. */
  readonly file?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** From the command line; undefined values are ignored. */
  readonly flags?: ConfigInput;
}

type Path = readonly PropertyKey[];
type Settings = Record<string, unknown>;

/** The settings of one source, and the position of each in it, for error messages. */
interface Layer {
  readonly settings: Settings;
  readonly where: (path: Path) => string | undefined;
}

/** Environment variables that are not settings. */
const notSettings = new Set([
  'FLOTILLA_STATE',
  'FLOTILLA_TOKEN',
  'FLOTILLA_CA_PASSPHRASE',
  'FLOTILLA_CA_PASSPHRASE_FILE',
]);

/**
 * Variables that Kubernetes and container links set beside a Service named `flotilla` or
 * `flotilla-broker`: its address and ports. Settings in sections have two underscores in a row, so none
 * of them matches.
 */
const serviceLink =
  /^FLOTILLA_(?:[A-Z0-9]+_)*(?:SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$/;
/** The same, where only the value distinguishes it from a misspelled setting. */
const serviceLinkUrl = /^(?:tcp|udp|sctp):\/\//;

function isSetting(name: string, value: string): boolean {
  if (!name.startsWith('FLOTILLA_') || notSettings.has(name)) return false;
  if (name.startsWith('FLOTILLA_TEST_')) return false;
  if (name.includes('__')) return true;
  return !serviceLink.test(name) && !(name.endsWith('_PORT') && serviceLinkUrl.test(value));
}

/**
 * Reads, merges, validates and freezes the configuration.
 *
 * @throws FlotillaError `config-unreadable`, `config-invalid` (naming the setting, and line and
 *   column when it came from the file)
 */
export async function loadConfig(sources: ConfigSources = {}): Promise<Config> {
  const layers = [
    ...(sources.file === undefined ? [] : [await fileLayer(sources.file)]),
    environmentLayer(sources.env ?? {}),
    flagLayer(sources.flags ?? {}),
  ];
  const merged = layers.map((layer) => layer.settings).reduce(merge, {});
  return check(merged, (path) => {
    const places = layers.map((layer) => layer.where(path));
    return places.findLast((place) => place !== undefined);
  });
}

/** Validates and freezes settings that are already merged. @throws FlotillaError `config-invalid` */
export function checkConfig(settings: unknown): Config {
  return check(settings, () => undefined);
}

/** The environment variable of a setting. */
export function environmentName(path: readonly string[]): string {
  const words = path.map((part) => part.replaceAll(/[A-Z]/g, '_$&').toUpperCase());
  return `FLOTILLA_${words.join('__')}`;
}

function check(settings: unknown, where: Layer['where']): Config {
  const result = configSchema.safeParse(settings);
  if (result.success) return frozen(result.data);
  const faults = result.error.issues.flatMap((issue): { path: Path; fault: string }[] => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => {
        const path = [...issue.path, key];
        return { path, fault: `unknown setting${settingSuggestion(configSchema, path)}` };
      });
    }
    const { path, text } = faultOf(issue);
    return [{ path, fault: text }];
  });
  const detail = faults.map(({ path, fault }) => {
    const place = where(path);
    const name = path.map((part) => bareWord(String(part))).join('.') || '(top)';
    return `${place === undefined ? '' : `${place}: `}${name}: ${fault}`;
  });
  throw new FlotillaError('config-invalid', { detail: detail.join('; ') });
}

async function fileLayer(path: string): Promise<Layer> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      return { settings: {}, where: () => undefined };
    }
    throw new FlotillaError('config-unreadable', { detail: path, cause: error });
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  const unreadable = (offset: number, fault: string): FlotillaError =>
    new FlotillaError('config-unreadable', { detail: `${place(offset)}: ${fault}` });

  const [fault] = document.errors;
  if (fault !== undefined) throw unreadable(fault.pos[0], fault.message);
  const alias = firstAlias(document);
  if (alias !== undefined) throw unreadable(alias, 'aliases are not supported');
  const settings = (document.toJS() as unknown) ?? {};
  if (!isRecord(settings)) {
    throw unreadable(document.contents?.range[0] ?? 0, 'expected settings, like host: 127.0.0.1');
  }
  return {
    settings,
    where(wanted) {
      const offset = offsetOf(document, wanted);
      return offset === undefined ? undefined : place(offset);
    },
  };
}

/** The offset of a setting's name in the file; undefined when the file does not contain it. */
function offsetOf(document: Document.Parsed, path: Path): number | undefined {
  let node: unknown = document.contents;
  let offset: number | undefined;
  for (const part of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === part);
      if (pair === undefined) return undefined;
      offset = isNode(pair.key) ? pair.key.range?.[0] : undefined;
      node = pair.value;
    } else {
      // Inside a list: the position of the list is precise enough.
      return offset;
    }
  }
  return offset;
}

function firstAlias(document: Document.Parsed): number | undefined {
  let offset: number | undefined;
  visit(document, {
    Alias(_key, node) {
      offset = node.range?.[0] ?? 0;
      return visit.BREAK;
    },
  });
  return offset;
}

function environmentLayer(env: Readonly<Record<string, string | undefined>>): Layer {
  const settings: Settings = {};
  const names = new Map<string, string>();
  // Sorted, so that a section comes before the settings in it.
  for (const [name, value] of Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (value === undefined || value === '' || !isSetting(name, value)) continue;
    const path = name.slice('FLOTILLA_'.length).split('__').map(camelCase);
    let section = settings;
    for (const part of path.slice(0, -1)) {
      const next = Object.hasOwn(section, part) ? section[part] : {};
      if (!isRecord(next)) throw invalid(name, 'expected a section, not a value');
      section = section[part] = next;
    }
    section[path.at(-1) ?? ''] = environmentValue(name, value);
    names.set(path.join('.'), name);
  }
  return {
    settings,
    where(path) {
      for (let length = path.length; length > 0; length--) {
        const name = names.get(path.slice(0, length).join('.'));
        if (name !== undefined) return name;
      }
      return undefined;
    },
  };
}

function environmentValue(name: string, value: string): unknown {
  const document = parseDocument(value, { prettyErrors: false });
  const [fault] = document.errors;
  if (fault !== undefined) throw invalid(name, fault.message);
  if (firstAlias(document) !== undefined) throw invalid(name, 'put it in quotation marks');
  // Only braces and brackets make a map or a list: an address may contain colons.
  if (isCollection(document.contents) && document.contents.flow !== true) return value;
  return document.toJS() as unknown;
}

function invalid(name: string, fault: string): FlotillaError {
  return new FlotillaError('config-invalid', { detail: `${name}: ${fault}` });
}

function flagLayer(flags: ConfigInput): Layer {
  return {
    settings: flags,
    where(path) {
      let value: unknown = flags;
      for (const part of path) {
        const name = String(part);
        value = isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined;
      }
      return value === undefined ? undefined : 'on the command line';
    },
  };
}

function camelCase(words: string): string {
  return words
    .toLowerCase()
    .replaceAll(/_{1,8}([a-z0-9])/g, (_all, letter: string) => letter.toUpperCase());
}

/** Returns a plain word unchanged, and anything else quoted and shortened. */
function bareWord(name: string): string {
  return /^\w{1,64}$/.test(name) ? name : printable(name);
}

function merge(under: Settings, over: Settings): Settings {
  const result = new Map(Object.entries(under));
  for (const [key, value] of Object.entries(over)) {
    const below = result.get(key);
    if (value === undefined || value === null) result.set(key, below);
    else if (isRecord(value)) result.set(key, merge(isRecord(below) ? below : {}, value));
    else result.set(key, value);
  }
  // Not by assignment: `__proto__` must remain an ordinary name, to be rejected as unknown.
  return Object.fromEntries(result);
}

function isRecord(value: unknown): value is Settings {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Freezes all levels; removes settings that are undefined. */
function frozen<T>(value: T): T {
  if (isRecord(value)) {
    for (const [key, part] of Object.entries(value)) {
      if (part === undefined) Reflect.deleteProperty(value, key);
      else frozen(part);
    }
  } else if (Array.isArray(value)) {
    for (const part of value) frozen(part);
  }
  return Object.freeze(value);
}
