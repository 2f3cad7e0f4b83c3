/**
 * Generates docs/configuration.md from the schemas of the settings: `node tools/config-doc.ts`. A test
 * fails when the page is out of date.
 *
 * @module
 */
import { writeFileSync } from 'node:fs';
import { z } from 'zod';
import { configSchema } from '../core/config/config-schema.ts';
import { environmentName } from '../core/config/config.ts';

export const configDocPath = 'docs/configuration.md';

/** One setting, as the page shows it. */
export interface Setting {
  /** `broker.mqttsPort` */
  readonly name: string;
  readonly environment: string;
  readonly description: string;
  readonly defaultValue: string;
  readonly range: string;
}

/** All settings, in the order of the schema. */
export function settings(): Setting[] {
  return settingsOf([], z.toJSONSchema(configSchema, { io: 'input' }));
}

/** The page. */
export function configDoc(): string {
  const all = settings();
  const limits = all.filter(({ name }) => name.startsWith('limits.'));
  const others = all.filter((setting) => !limits.includes(setting));
  return `<!-- Generated from core/config/config-schema.ts and core/config/limits.ts by "node tools/config-doc.ts". Do not edit. -->

# Configuration

All settings are optional. They are read from these sources; a later source overrides an earlier one:

1. the defaults below,
2. \`flotilla.yaml\` in the state folder,
3. the environment,
4. the command line.

\`\`\`yaml
# flotilla.yaml
host: 0.0.0.0
names: [flotilla.example.org]
broker:
  onDenied: drop
limits:
  broker:
    connectionsMax: 20000
\`\`\`

- An unknown setting or a value out of range prevents the start. The message names the setting and its
  position: file, line and column, the variable, or the command line.
- Environment variables have two underscores between sections and one between words:
  \`broker.mqttsPort\` is \`FLOTILLA_BROKER__MQTTS_PORT\`. The value is read as YAML: \`FLOTILLA_NAMES='[a.example, 10.0.0.7]'\`.
  An unknown variable that begins with \`FLOTILLA_\` prevents the start as well.
- A setting without a value (\`host:\`, or an empty variable) counts as not set.
- Durations are a whole number and a unit: \`250ms\`, \`30s\`, \`15m\`, \`24h\`, \`90d\`.
- \`flotilla up --print-config\` prints the configuration in force, in the form of \`flotilla.yaml\`.

These environment variables are not settings; they are never written to a file or a log:

| name | meaning |
|---|---|
| \`FLOTILLA_STATE\` | the state folder, if \`--state\` is not given |
| \`FLOTILLA_TOKEN\` | the enrollment token, if \`--token\` is not given |
| \`FLOTILLA_CA_PASSPHRASE\` | the passphrase of the CA keys |
| \`FLOTILLA_CA_PASSPHRASE_FILE\` | a file with that passphrase |

## Settings

${table(others)}

## Limits

Everything that Flotilla stores, waits for or accepts has a limit. The name contains the unit.

${table(limits)}
`;
}

function table(rows: readonly Setting[]): string {
  const lines = rows.map(
    ({ name, environment, description, defaultValue, range }) =>
      `| \`${name}\`${environment === '' ? '' : `<br>\`${environment}\``} | ${description} | ${defaultValue} | ${range} |`,
  );
  return [
    '| setting | description | default | allowed values |',
    '|---|---|---|---|',
    ...lines,
  ].join('\n');
}

function settingsOf(path: readonly string[], schema: z.core.JSONSchema.BaseSchema): Setting[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, part]) => {
    const name = [...path, key];
    if (typeof part === 'boolean') throw new Error(`${name.join('.')} has no schema`);
    // A section of settings; else one setting, whose own parts are listed below it.
    if (part.properties !== undefined) return settingsOf(name, part);
    return [settingOf(name, part), ...partsOf(name, part)];
  });
}

function settingOf(name: readonly string[], schema: z.core.JSONSchema.BaseSchema): Setting {
  if (schema.description === undefined) throw new Error(`${name.join('.')} has no description`);
  return {
    name: name.join('.'),
    // Entries of a map or a list are set through the variable of the whole map or list.
    environment: /[[{]/.test(name.join()) ? '' : environmentName(name),
    description: schema.description.replaceAll('|', '\\|'),
    defaultValue: schema.default === undefined ? '' : `\`${shown(schema.default)}\``,
    range: rangeOf(schema),
  };
}

function partsOf(name: readonly string[], schema: z.core.JSONSchema.BaseSchema): Setting[] {
  const { additionalProperties: values, items } = schema;
  if (typeof values === 'object') return settingsOf([...name, '{name}'], values);
  const last = `${name.at(-1) ?? ''}[]`;
  if (typeof items !== 'object' || Array.isArray(items)) return [];
  return settingsOf([...name.slice(0, -1), last], items);
}

function rangeOf(schema: z.core.JSONSchema.BaseSchema): string {
  const { type, minimum, maximum, maxItems, format } = schema;
  const min = schema['durationMin'];
  if (typeof min === 'string') return `a duration, at least ${min}`;
  if (schema.enum !== undefined)
    return schema.enum.map((value) => `\`${shown(value)}\``).join(', ');
  if (type === 'integer') return `${minimum ?? 0} to ${maximum ?? 0}`;
  if (type === 'number')
    return minimum === undefined
      ? `more than ${schema.exclusiveMinimum ?? 0}, at most ${maximum ?? 0}`
      : `${minimum} to ${maximum ?? 0}`;
  if (type === 'array') return maxItems === undefined ? 'a list' : `a list of at most ${maxItems}`;
  if (type === 'object') return 'a map by name';
  if (type === 'boolean') return '`true`, `false`';
  return format === 'uri' ? 'a URL' : 'text';
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

if (import.meta.main) writeFileSync(configDocPath, configDoc());
