/**
 * Explains whether a run is valid as a measurement, and what to do when it is not.
 *
 * @module
 */
import type { Report } from './report-model.ts';

export interface ValidityText {
  readonly valid: boolean;
  readonly title: string;
  readonly reasons: readonly string[];
  readonly advice: string;
}

/** Undefined when the run is valid and nothing disturbed it. */
export function validityText({ simulator, machine }: Report): ValidityText | undefined {
  const other = Math.round((machine.otherShare ?? 0) * 100);
  if (simulator.invalidCause === 'machine') {
    return {
      valid: false,
      title: 'Not valid as a measurement: this machine was busy with other processes.',
      reasons: [
        `other processes used ${other} % of the CPU of this machine (${machine.cores ?? 0} cores)`,
        ...simulator.invalidBecause,
      ],
      advice: 'Stop the other processes, or run the simulator on another machine.',
    };
  }
  if (!simulator.valid) {
    return {
      valid: false,
      title: 'Not valid as a measurement: the simulator itself was the bottleneck.',
      reasons: simulator.invalidBecause,
      advice: 'Use fewer devices, client: light, more cores, or agents on other hosts.',
    };
  }
  if (!machine.contended) return undefined;
  return {
    valid: true,
    title: 'This machine was busy with other processes.',
    reasons: [
      `other processes used ${other} % of the CPU of this machine (${machine.cores ?? 0} cores)`,
    ],
    advice: 'The latencies include waiting for CPU. Measure on an idle machine to compare them.',
  };
}
