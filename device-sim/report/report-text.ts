/**
 * The report as text, for a terminal.
 *
 * @module
 */
import { ms } from '../view/progress.ts';
import type { Percentiles } from '../measure/histogram.ts';
import type { Report } from './report-model.ts';
import { validityText } from './validity-text.ts';

const errorsShownMax = 12;

/** The whole report, about forty lines. */
export function reportText(report: Report): string {
  const sections = [
    headLines(report),
    countLines(report),
    [
      `latency                p50        p95        p99        max      count`,
      ...latencyRows(report),
    ],
    ['phases', ...report.phases.flatMap(phaseLines)],
    ['thresholds', ...report.thresholds.map(thresholdLine)],
    errorLines(report),
    report.notes.length === 0 ? [] : ['notes', ...report.notes.map((note) => `  ${note}`)],
    machineLines(report),
    validityLines(report),
  ];
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}

function headLines(report: Report): string[] {
  const { plan, ok, aborted, seed, run, durationMs, broker, failure } = report;
  return [
    `${plan}: ${ok ? 'PASSED' : 'FAILED'}${aborted ? ' (stopped early)' : ''}` +
      `   seed ${seed}   run ${run}   ${(durationMs / 1000).toFixed(1)} s against ${broker.address}`,
    ...(failure === null ? [] : [`  ${failure}`]),
  ];
}

function countLines({ devices, messages, telemetry, commands, rates }: Report): string[] {
  return [
    `devices    ${devices.planned} planned, ${devices.enrolled} enrolled with ${devices.distinctKeys} different keys, ` +
      `${devices.connected} connected, ${devices.failed} failed${devices.retired > 0 ? `, ${devices.retired} retired by drills` : ''}`,
    `messages   ${messages.published} published, ${messages.acknowledged} acknowledged, ${messages.expected} expected, ` +
      `${messages.delivered} delivered`,
    `           ${messages.lost} lost, ${messages.duplicated} duplicated, ${messages.misdelivered} misdelivered`,
    ...(commands.published > 0
      ? [
          `  of these ${telemetry.expected} from devices, ${commands.expected} commands to devices` +
            (commands.undeliverable > 0
              ? ` (${commands.undeliverable} more were sent to devices that were offline)`
              : ''),
        ]
      : []),
    `rates      ${figure(rates.enrollPerSecond)} enrollments/s, ${figure(rates.connectPerSecond)} connects/s, ` +
      `${figure(rates.publishPerSecond)} messages/s`,
  ];
}

/** Names of the latencies, in the order of a device's life. */
export const latencyNames = {
  enroll: 'enroll',
  handshake: 'TLS handshake',
  handshakeResumed: 'TLS resumed',
  connect: 'connect',
  publishAck: 'publish to ack',
  endToEnd: 'end to end',
  command: 'command',
  roundtrip: 'command + reply',
  renew: 'renew',
} as const;

function latencyRows(report: Report): string[] {
  return Object.entries(latencyNames).flatMap(([key, name]) => {
    const value: Percentiles = report.latencyMs[key as keyof typeof latencyNames];
    if (value.count === 0) return [];
    const cells = [value.p50, value.p95, value.p99, value.max].map((cell) => ms(cell).padStart(10));
    return [`  ${name.padEnd(15)}${cells.join(' ')} ${value.count.toString().padStart(10)}`];
  });
}

function phaseLines(phase: Report['phases'][number]): string[] {
  const { verdict, ok, name, durationMs, evidence } = phase;
  const word = verdict === null ? (ok ? 'done' : 'FAIL') : verdict === 'pass' ? 'pass' : 'FAIL';
  return [
    `  ${word}  ${name}  ${(durationMs / 1000).toFixed(1)} s`,
    ...evidence.map((sentence) => `        ${sentence}`),
  ];
}

function thresholdLine({ name, limit, value, ok }: Report['thresholds'][number]): string {
  return `  ${ok ? 'ok    ' : 'MISSED'}  ${name} ${limit}   (${value === null ? 'never measured' : value})`;
}

function errorLines({ errors }: Report): string[] {
  const entries = Object.entries(errors);
  if (entries.length === 0) return [];
  return [
    'errors',
    ...entries.slice(0, errorsShownMax).map(([reason, count]) => `  ${count} × ${reason}`),
  ];
}

function machineLines({ simulator, broker }: Report): string[] {
  const perMessage = (us: number | null): string =>
    us === null ? '' : `, ${us.toFixed(0)} µs per message`;
  return [
    `simulator  ${simulator.workers} workers, ${(simulator.cpuMs / 1000).toFixed(1)} s of CPU` +
      perMessage(simulator.cpuPerMessageUs) +
      (simulator.rssPerDeviceBytes === null
        ? ''
        : `, ${(simulator.rssPerDeviceBytes / 1024).toFixed(0)} KB per device`) +
      `, schedule error p99 ${ms(simulator.scheduleErrorMs.p99)}`,
    ...(broker.local
      ? [
          `broker     ${((broker.cpuMs ?? 0) / 1000).toFixed(1)} s of CPU` +
            perMessage(broker.cpuPerMessageUs) +
            (broker.rssPeakBytes === null
              ? ''
              : `, at most ${(broker.rssPeakBytes / 1_048_576).toFixed(0)} MiB`),
        ]
      : []),
  ];
}

function validityLines(report: Report): string[] {
  const text = validityText(report);
  return text === undefined
    ? []
    : [text.title, ...text.reasons.map((reason) => `  ${reason}`), `  ${text.advice}`];
}

function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}
