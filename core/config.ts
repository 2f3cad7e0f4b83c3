/**
 * The configuration: defaults < flotilla.yaml < `FLOTILLA_*` < flags. Unknown keys are refused, the
 * result is frozen.
 *
 * A setting `broker.mqttsPort` is `FLOTILLA_BROKER__MQTTS_PORT` in the environment: two underscores
 * between sections, one between the words of a name; the value is read as YAML.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { parseDuration } from './duration.ts';
import { FlotillaError, messageOf } from './errors/flotilla-error.ts';
import { brokerLimitsSchema, enrollLimitsSchema } from './limits.ts';

/** A duration, written `90d`; milliseconds once read. */
const duration = (
  usual: string,
): z.ZodPrefault<z.ZodPipe<z.ZodString, z.ZodTransform<number, string>>> =>
  z
    .string()
    .transform((text, context) => {
      try {
        return parseDuration(text);
      } catch (error) {
        context.addIssue({ code: 'custom', message: messageOf(error) });
        return z.NEVER;
      }
    })
    .prefault(usual);

const port = (usual: number): z.ZodDefault<z.ZodInt> => z.int().min(0).max(65_535).default(usual);

export const configSchema = z.strictObject({
  /** The address that the services listen on. Loopback unless told: opening up is a decision. */
  host: z.string().min(1).default('127.0.0.1'),
  /** Names and addresses for the server certificates, beside localhost and the machine's name. */
  names: z.array(z.string().min(1).max(253)).max(32).default([]),
  log: z
    .strictObject({
      level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
    })
    .prefault({}),
  enroll: z
    .strictObject({
      port: port(8443),
      /** Where brokers, devices and the command line find the service; guessed from host and port. */
      url: z.url({ protocol: /^https$/ }).optional(),
      tokenTtl: duration('24h'),
      certificateValidity: duration('365d'),
      serverCertificateValidity: duration('90d'),
      /** How long after its end a certificate may still be used to renew, and nothing else. */
      renewGrace: duration('30d'),
      /** How long a repeated enrollment with the same token and CSR gets the same answer. */
      tokenReplay: duration('15m'),
    })
    .prefault({}),
  broker: z
    .strictObject({
      mqttsPort: port(8883),
      wssPort: port(8884),
      metricsHost: z.string().min(1).default('127.0.0.1'),
      metricsPort: port(9464),
      /** What a PUBLISH that the policy denies does on MQTT 3.1.1, which has no negative answer. */
      onDenied: z.enum(['close', 'drop']).default('close'),
      store: z.enum(['durable', 'memory']).default('durable'),
      tlsSessionTickets: z.boolean().default(true),
    })
    .prefault({}),
  limits: z
    .strictObject({
      broker: brokerLimitsSchema.prefault({}),
      enroll: enrollLimitsSchema.prefault({}),
    })
    .prefault({}),
});

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;
export type Config = DeepReadonly<z.infer<typeof configSchema>>;

/** Settings as people write them: everything may be left out. */
export type ConfigInput = z.input<typeof configSchema>;

export interface ConfigSources {
  /** flotilla.yaml; a missing file counts as empty. */
  readonly file?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** From the command line; undefined values are left out. */
  readonly flags?: ConfigInput;
}

/** Names in the environment that are not settings. */
const notSettings = new Set([
  'FLOTILLA_STATE',
  'FLOTILLA_TOKEN',
  'FLOTILLA_CA_PASSPHRASE',
  'FLOTILLA_CA_PASSPHRASE_FILE',
]);

/**
 * Reads, merges, checks and freezes the configuration.
 *
 * @throws FlotillaError `config-unreadable`, `config-invalid` (naming the setting, and line and
 *   column when it came from the file)
 */
export async function loadConfig(sources: ConfigSources = {}): Promise<Config> {
  const file = sources.file === undefined ? {} : await readSettings(sources.file);
  const merged = [fromEnvironment(sources.env ?? {}), sources.flags ?? {}].reduce<unknown>(
    merge,
    file,
  );
  return checkConfig(merged);
}

/** Checks and freezes settings that are already merged. @throws FlotillaError `config-invalid` */
export function checkConfig(settings: unknown): Config {
  const result = configSchema.safeParse(settings);
  if (!result.success) {
    const detail = result.error.issues
      .map((issue) => `${issue.path.join('.') || '(top)'}: ${issue.message}`)
      .join('; ');
    throw new FlotillaError('config-invalid', { detail });
  }
  return deepFreeze(result.data);
}

async function readSettings(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
    throw new FlotillaError('config-unreadable', { detail: path, cause: error });
  }
  const document = parseDocument(text, { uniqueKeys: true, prettyErrors: true });
  const [fault] = document.errors;
  if (fault !== undefined) {
    throw new FlotillaError('config-unreadable', { detail: `${path}: ${fault.message.trim()}` });
  }
  return (document.toJS({ maxAliasCount: 0 }) as unknown) ?? {};
}

function fromEnvironment(env: Readonly<Record<string, string | undefined>>): unknown {
  const settings: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('FLOTILLA_') || value === undefined || notSettings.has(name)) continue;
    const path = name.slice('FLOTILLA_'.length).split('__').map(camelCase);
    const last = path.pop();
    if (last === undefined || path.includes('__proto__')) continue;
    let section = settings;
    for (const part of path) {
      const next = section[part];
      section = section[part] = isRecord(next) ? next : {};
    }
    section[last] = parseDocument(value).toJS({ maxAliasCount: 0 });
  }
  return settings;
}

function camelCase(words: string): string {
  return words
    .toLowerCase()
    .replaceAll(/_+([a-z0-9])/g, (_all, letter: string) => letter.toUpperCase());
}

function merge(under: unknown, over: unknown): unknown {
  if (over === undefined) return under;
  if (!isRecord(under) || !isRecord(over)) return over;
  const result: Record<string, unknown> = { ...under };
  for (const [key, value] of Object.entries(over)) result[key] = merge(under[key], value);
  return result;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) deepFreeze(part);
    Object.freeze(value);
  }
  return value;
}
