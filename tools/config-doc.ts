/**
 * Makes docs/configuration.md from the schemas of the settings: `node tools/config-doc.ts`. A test
 * fails when the page is not what this makes.
 *
 * @module
 */
import { writeFileSync } from 'node:fs';
import { z } from 'zod';
import { configSchema } from '../core/config/config-schema.ts';
import { environmentName } from '../core/config/config.ts';

export const configDocPath = 'docs/configuration.md';

/** One setting, as people see it. */
export interface Setting {
  /** `broker.mqttsPort` */
  readonly name: string;
  readonly environment: string;
  readonly meaning: string;
  readonly usual: string;
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
  return `<!-- Made from core/config/config-schema.ts and core/config/limits.ts by "node tools/config-doc.ts". Do not edit. -->

# Configuration

Nothing has to be set. What is set is taken, the later over the earlier, from

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

- A setting that does not exist, or a value that is out of its range, stops the start; the message names the
  setting and its place: file, line and column, the variable, or the command line.
- In the environment a setting has two underscores between sections and one between words:
  \`broker.mqttsPort\` is \`FLOTILLA_BROKER__MQTTS_PORT\`. The value is read as YAML: \`FLOTILLA_NAMES='[a.example, 10.0.0.7]'\`.
  A variable that begins with \`FLOTILLA_\` and is no setting stops the start as well.
- A setting without a value (\`host:\`, or an empty variable) counts as not set.
- Durations are a whole number and a unit: \`250ms\`, \`30s\`, \`15m\`, \`24h\`, \`90d\`.
- \`flotilla up --print-config\` prints the configuration in force, in the form of \`flotilla.yaml\`.

These names in the environment are no settings; they are never written anywhere:

| name | meaning |
|---|---|
| \`FLOTILLA_STATE\` | the state folder, where \`--state\` is not given |
| \`FLOTILLA_TOKEN\` | the enrollment token, where \`--token\` is not given |
| \`FLOTILLA_CA_PASSPHRASE\` | the passphrase of the CA keys |
| \`FLOTILLA_CA_PASSPHRASE_FILE\` | a file with that passphrase |

## Settings

${table(others)}

## Limits

Everything that Flotilla keeps, waits for or takes in has a limit. The unit stands in the name.

${table(limits)}
`;
}

function table(rows: readonly Setting[]): string {
  const lines = rows.map(
    ({ name, environment, meaning, usual, range }) =>
      `| \`${name}\`${environment === '' ? '' : `<br>\`${environment}\``} | ${meaning} | ${usual} | ${range} |`,
  );
  return ['| setting | meaning | default | may be |', '|---|---|---|---|', ...lines].join('\n');
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
  if (schema.description === undefined) throw new Error(`${name.join('.')} has no meaning`);
  return {
    name: name.join('.'),
    // What stands inside a map or a list is reached by the name of the whole.
    environment: /[[{]/.test(name.join()) ? '' : environmentName(name),
    meaning: schema.description.replaceAll('|', '\\|'),
    usual: schema.default === undefined ? '' : `\`${shown(schema.default)}\``,
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
  const least = schema['durationMin'];
  if (typeof least === 'string') return `a duration from ${least}`;
  if (schema.enum !== undefined)
    return schema.enum.map((value) => `\`${shown(value)}\``).join(', ');
  if (type === 'integer') return `${minimum ?? 0} to ${maximum ?? 0}`;
  if (type === 'number') return `above ${schema.exclusiveMinimum ?? 0}, to ${maximum ?? 0}`;
  if (type === 'array') return maxItems === undefined ? 'a list' : `a list of at most ${maxItems}`;
  if (type === 'object') return 'a map by name';
  if (type === 'boolean') return '`true`, `false`';
  return format === 'uri' ? 'a URL' : 'text';
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

if (import.meta.main) writeFileSync(configDocPath, configDoc());
