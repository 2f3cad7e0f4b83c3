/** Expected decisions as rows of a table, and as the file that `flotilla policy test` reads. @module */
import type { ApiPolicyCase } from '../../api/api-types.ts';

/** One row: an identity, what it asks, and whether that is expected to be allowed. */
export type PolicyCase = Omit<ApiPolicyCase, 'allowed' | 'reason'>;

export const caseActions = ['publish', 'subscribe', 'receive', 'connect'] as const;

export const emptyCase: PolicyCase = {
  device: '',
  role: 'device',
  group: null,
  attributes: {},
  address: null,
  standing: 'full',
  action: 'publish',
  topic: '',
  qos: null,
  retain: null,
  payloadBytes: null,
  expected: true,
};

/** Rows of one identity that follow each other become one entry of the file. Rows that are not filled in are left out. */
export function testFileOf(cases: readonly PolicyCase[]): string {
  const lines = ['tests:'];
  let identity: string | undefined;
  for (const group of identityGroups(cases.filter(isComplete))) {
    const [first = emptyCase] = group;
    identity = identityLines(first).join('\n');
    lines.push(identity);
    for (const [expected, name] of [
      [true, 'allow'],
      [false, 'deny'],
    ] as const) {
      const questions = group.filter((one) => one.expected === expected);
      if (questions.length > 0) lines.push(`    ${name}:`, ...questions.flatMap(questionLines));
    }
  }
  return identity === undefined ? '' : `${lines.join('\n')}\n`;
}

/** What a row says beside the columns of the table. */
export function detailsOf({
  group,
  attributes,
  address,
  standing,
  qos,
  retain,
  payloadBytes,
}: PolicyCase): string {
  return [
    group === null ? '' : `group ${group}`,
    ...Object.entries(attributes).map(([name, value]) => `${name}=${value}`),
    address === null ? '' : `from ${address}`,
    standing === 'full' ? '' : standing,
    qos === null ? '' : `QoS ${qos}`,
    retain === null ? '' : retain ? 'retained' : 'not retained',
    payloadBytes === null ? '' : `${payloadBytes} bytes`,
  ]
    .filter((text) => text !== '')
    .join(', ');
}

function isComplete({ device, topic }: PolicyCase): boolean {
  return device !== '' && topic !== '';
}

function identityGroups(cases: readonly PolicyCase[]): PolicyCase[][] {
  const groups: PolicyCase[][] = [];
  let last = '';
  for (const one of cases) {
    const identity = identityLines(one).join('\n');
    if (identity === last) groups.at(-1)?.push(one);
    else groups.push([one]);
    last = identity;
  }
  return groups;
}

function identityLines({
  device,
  role,
  group,
  attributes,
  address,
  standing,
}: PolicyCase): string[] {
  return [
    `  - device: ${quoted(device)}`,
    ...(role === 'device' ? [] : [`    role: ${quoted(role)}`]),
    ...(group === null ? [] : [`    group: ${quoted(group)}`]),
    ...(Object.keys(attributes).length === 0
      ? []
      : [`    attributes: ${JSON.stringify(attributes)}`]),
    ...(address === null ? [] : [`    address: ${quoted(address)}`]),
    ...(standing === 'full' ? [] : [`    standing: ${standing}`]),
  ];
}

function questionLines({ action, topic, qos, retain, payloadBytes }: PolicyCase): string[] {
  return [
    `      - ${action}: ${quoted(topic)}`,
    ...(qos === null ? [] : [`        qos: ${qos}`]),
    ...(retain === null ? [] : [`        retain: ${retain}`]),
    ...(payloadBytes === null ? [] : [`        payloadBytes: ${payloadBytes}`]),
  ];
}

/** Plain where YAML reads it as the same text, otherwise as JSON, which YAML contains. */
function quoted(text: string): string {
  return /^[A-Za-z][\w./-]*$/.test(text) && !/^(?:true|false|null|yes|no|on|off|y|n)$/i.test(text)
    ? text
    : JSON.stringify(text);
}
