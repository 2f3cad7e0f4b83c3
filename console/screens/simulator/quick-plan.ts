/** A plan out of a few numbers. @module */

export interface QuickNumbersForm {
  readonly devices: number;
  readonly seconds: number;
  readonly ratePerSecond: number;
  readonly qos: number;
}

/** The YAML of a plan: devices enroll, connect, publish, reconnect all at once, and are removed. */
export function quickPlanText({ devices, seconds, ratePerSecond, qos }: QuickNumbersForm): string {
  return `name: quick
fleet:
  - group: meters
    count: ${devices}
    id: 'sim-{seed}-{n}'
    client: light
    publish: [{ rate: ${ratePerSecond}/s, qos: ${qos}, spread: jitter }]
run:
  removeDevices: true
phases:
  - phase: enroll
  - { phase: ramp, rate: ${Math.max(20, Math.min(200, Math.round(devices / 5)))}/s }
  - { phase: steady, duration: ${seconds}s }
  - { phase: reconnect-storm, share: 0.5 }
thresholds:
  - devices.failed <= 0
${qos > 0 ? '  - messages.lost <= 0\n' : ''}  - messages.misdelivered <= 0
  - latencyMs.endToEnd.p99 <= 250ms
`;
}
