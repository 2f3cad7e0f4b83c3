/**
 * The effective configuration as text, for `--print-config`.
 *
 * @module
 */
import { stringify } from 'yaml';
import { z } from 'zod';
import { configSchema, type Config } from './config-schema.ts';
import { formatDuration } from './duration.ts';
import { secretNames } from '../log.ts';

/**
 * Formats a configuration as the equivalent flotilla.yaml. No setting contains a secret; settings with
 * the name of a secret (core/log.ts) are hidden nevertheless.
 */
export function formatConfig(config: Config): string {
  return stringify(written(config, z.toJSONSchema(configSchema, { io: 'input' })), {
    lineWidth: 0,
  });
}

type Schema = z.core.JSONSchema.BaseSchema;
type Node = Schema | boolean | null | undefined;

function written(value: unknown, schema: Node): unknown {
  const known = typeof schema === 'object' && schema !== null ? schema : {};
  if (typeof value === 'number' && 'durationMin' in known) return formatDuration(value);
  if (Array.isArray(value)) {
    const { items } = known;
    return value.map((part) => written(part, Array.isArray(items) ? undefined : items));
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, part]): [string, unknown] => [
      name,
      secretNames.includes(name)
        ? '[hidden]'
        : written(part, known.properties?.[name] ?? known.additionalProperties),
    ]),
  );
}
