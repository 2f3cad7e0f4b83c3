/**
 * Makes docs/errors.md from the error catalogue: `node tools/errors-doc.ts`. A test fails when the
 * page is not what this makes.
 *
 * @module
 */
import { writeFileSync } from 'node:fs';
import { catalogue, type ErrorSpec } from '../core/errors/catalogue.ts';

export const errorsDocPath = 'docs/errors.md';

/** The page. */
export function errorsDoc(): string {
  const codes = Object.entries(catalogue).sort(([a], [b]) => (a < b ? -1 : 1));
  return `<!-- Made from core/errors/ by "node tools/errors-doc.ts". Do not edit. -->

# Errors

Every error that you can meet has a code that does not change: scripts and alerts may rely on it. The
command line prints it (with \`--json\` as \`code\`), the enrollment service sends it in a problem
document (RFC 9457), the log and the audit log carry it as the reason of a refusal.

| column | meaning |
|---|---|
| HTTP | the status with which the enrollment service answers |
| MQTT 5.0 | the reason code of CONNACK, PUBACK, PUBREC, SUBACK or DISCONNECT |
| MQTT 3.1.1 | the return code of CONNACK; the protocol has no other negative answers: a SUBSCRIBE gets 0x80, else the connection is closed |
| exit | the exit code of the command line |

A command that fails with an error that the service sent exits as the table says, too.

${codes.map(([code, spec]) => section(code, spec)).join('\n')}`;
}

function section(code: string, spec: ErrorSpec): string {
  const { title, advice, http, mqtt5, mqtt3, exit = 1 } = spec;
  const facts = [
    ...(http === undefined ? [] : [`HTTP ${http}`]),
    ...(mqtt5 === undefined ? [] : [`MQTT 5.0 0x${mqtt5.toString(16).padStart(2, '0')}`]),
    ...(mqtt3 === undefined ? [] : [`MQTT 3.1.1 ${mqtt3}`]),
    `exit ${exit}`,
  ];
  return `## ${code}\n\n**${title}.** ${advice}\n\n${facts.join(' · ')}\n`;
}

if (import.meta.main) writeFileSync(errorsDocPath, errorsDoc());
