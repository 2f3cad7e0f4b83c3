/**
 * The report as text, for a terminal.
 *
 * @module
 */
import { ms } from '../view/progress.ts';
import type { Percentiles } from '../measure/histogram.ts';
import type { Report } from './report-model.ts';

/** The whole report in some forty lines. */
export function reportText(report: Report): string {
  const { devices, messages, telemetry, commands, rates, simulator, broker } = report;
  const lines: string[] = [
    `${report.plan}: ${report.ok ? 'PASSED' : 'FAILED'}${report.aborted ? ' (ended before its time)' : ''}` +
      `   seed ${report.seed}   run ${report.run}   ${(report.durationMs / 1000).toFixed(1)} s against ${broker.address}`,
    ...(report.failure === null ? [] : [`  ${report.failure}`]),
    '',
    `devices    ${devices.planned} planned, ${devices.enrolled} enrolled with ${devices.distinctKeys} different keys, ` +
      `${devices.connected} connected, ${devices.failed} failed${devices.retired > 0 ? `, ${devices.retired} retired by drills` : ''}`,
    `messages   ${messages.published} published, ${messages.acknowledged} acknowledged, ${messages.expected} expected, ` +
      `${messages.delivered} delivered`,
    `           ${messages.lost} lost, ${messages.duplicated} duplicated, ${messages.misdelivered} misdelivered`,
    ...(commands.published > 0
      ? [
          `  of these ${telemetry.expected} from devices, ${commands.expected} commands to devices` +
            (commands.undeliverable > 0
              ? ` (${commands.undeliverable} more met a device that was away)`
              : ''),
        ]
      : []),
    `rates      ${figure(rates.enrollPerSecond)} enrollments/s, ${figure(rates.connectPerSecond)} connects/s, ` +
      `${figure(rates.publishPerSecond)} messages/s`,
    '',
    `latency                p50        p95        p99        max      count`,
    ...latencyRows(report),
    '',
    'phases',
    ...report.phases.flatMap((phase) => [
      `  ${phase.verdict === null ? (phase.ok ? 'done' : 'FAIL') : phase.verdict === 'pass' ? 'pass' : 'FAIL'}  ` +
        `${phase.name}  ${(phase.durationMs / 1000).toFixed(1)} s`,
      ...phase.evidence.map((sentence) => `        ${sentence}`),
    ]),
    '',
    'thresholds',
    ...report.thresholds.map(
      ({ name, limit, value, ok }) =>
        `  ${ok ? 'ok    ' : 'MISSED'}  ${name} ${limit}   (${value === null ? 'never measured' : value})`,
    ),
  ];
  const errors = Object.entries(report.errors);
  if (errors.length > 0) {
    lines.push(
      '',
      'errors',
      ...errors.slice(0, 12).map(([reason, count]) => `  ${count} × ${reason}`),
    );
  }
  if (report.notes.length > 0) lines.push('', 'notes', ...report.notes.map((note) => `  ${note}`));
  lines.push(
    '',
    `simulator  ${simulator.workers} workers, ${(simulator.cpuMs / 1000).toFixed(1)} s of CPU` +
      (simulator.cpuPerMessageUs === null
        ? ''
        : `, ${simulator.cpuPerMessageUs.toFixed(0)} µs a message`) +
      (simulator.rssPerDeviceBytes === null
        ? ''
        : `, ${(simulator.rssPerDeviceBytes / 1024).toFixed(0)} KB a device`) +
      `, schedule error p99 ${ms(simulator.scheduleErrorMs.p99)}`,
    ...(broker.local
      ? [
          `broker     ${((broker.cpuMs ?? 0) / 1000).toFixed(1)} s of CPU` +
            (broker.cpuPerMessageUs === null
              ? ''
              : `, ${broker.cpuPerMessageUs.toFixed(0)} µs a message`) +
            (broker.rssPeakBytes === null
              ? ''
              : `, ${(broker.rssPeakBytes / 1048576).toFixed(0)} MiB at most`),
        ]
      : []),
  );
  if (!simulator.valid) {
    lines.push(
      '',
      'NOT VALID AS A MEASUREMENT: the simulator itself was the bottleneck.',
      ...simulator.invalidBecause.map((why) => `  ${why}`),
      '  Use fewer devices, client: light, more cores, or agents on other hosts.',
    );
  }
  return `${lines.join('\n')}\n`;
}

/** How people call the latencies, in the order of a device's life. */
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

function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}
