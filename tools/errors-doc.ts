/**
 * Generates docs/errors.md from the error catalogue: `node tools/errors-doc.ts`. A test fails when the
 * page is out of date.
 *
 * @module
 */
import { writeFileSync } from 'node:fs';
import { catalogue, type ErrorSpec } from '../core/errors/catalogue.ts';
import { exitCodeOf } from '../core/errors/error-spec.ts';

export const errorsDocPath = 'docs/errors.md';

/** The page. */
export function errorsDoc(): string {
  const codes = Object.entries(catalogue).sort(([a], [b]) => (a < b ? -1 : 1));
  return `<!-- Generated from core/errors/ by "node tools/errors-doc.ts". Do not edit. -->

# Errors

Every error has a stable code; scripts and alerts may rely on it. The command line prints the code (with
\`--json\` as \`code\`), the enrollment service sends it in a problem document (RFC 9457), and the log and
the audit log contain it for every refusal.

| column | meaning |
|---|---|
| HTTP | the status of the enrollment service's response |
| MQTT 5.0 | the reason code of CONNACK, PUBACK, PUBREC, SUBACK or DISCONNECT |
| MQTT 3.1.1 | the return code of CONNACK. The protocol has no other negative acknowledgements: a SUBSCRIBE gets 0x80, otherwise the connection is closed |
| exit | the exit code of a command that fails with this error, whether it found the error itself or got it from the service |

A missing value means that the error cannot occur there.

${codes.map(([code, spec]) => section(code, spec)).join('\n')}`;
}

function section(code: string, spec: ErrorSpec): string {
  const { title, advice, http, mqtt5, mqtt3 } = spec;
  const exit = exitCodeOf(spec);
  const facts = [
    ...(http === undefined ? [] : [`HTTP ${http}`]),
    ...(mqtt5 === undefined ? [] : [`MQTT 5.0 0x${mqtt5.toString(16).padStart(2, '0')}`]),
    ...(mqtt3 === undefined ? [] : [`MQTT 3.1.1 ${mqtt3}`]),
    ...(exit === undefined ? [] : [`exit ${exit}`]),
  ];
  return `## ${code}\n\n**${title}.** ${advice}\n\n${facts.join(' · ')}\n`;
}

if (import.meta.main) writeFileSync(errorsDocPath, errorsDoc());
