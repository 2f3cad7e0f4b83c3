/**
 * Judges one cell of a benchmark table: whether a broker did the work, and which peer others are compared
 * with. A broker that stalls or loses messages spends less CPU time, so its values are no basis for a ratio.
 *
 * @module
 */
import type { DeliveryResult, LatencyResult } from './delivery.ts';

/** At full load, either the broker or the generator works for at least this share of a core. */
const workingMinPercent = 50;
/** At a fixed rate, at least this share of it must be delivered in time. */
const rateShareMin = 0.95;

/** What is wrong with a measurement at full load; undefined if nothing is. */
export function loadFault(result: DeliveryResult): string | undefined {
  if (result.missing > 0) return `loses ${result.missing}`;
  const { brokerCpuPercent, generatorCpuPercent } = result;
  return Math.max(brokerCpuPercent, generatorCpuPercent) < workingMinPercent ? 'stalls' : undefined;
}

/** What is wrong with a measurement at a fixed rate; undefined if nothing is. */
export function rateFault(result: LatencyResult): string | undefined {
  if (result.missing > 0) return `loses ${result.missing}`;
  return result.deliveriesPerSecond < rateShareMin * result.ratePerSecond ? 'stalls' : undefined;
}

/** The best value of the peers; undefined when no peer has a valid one. Lower is better, unless `most`. */
export function anchorOf(
  values: readonly (number | undefined)[],
  most: boolean,
): number | undefined {
  const valid = values.filter(
    (value): value is number => value !== undefined && !Number.isNaN(value),
  );
  if (valid.length === 0) return undefined;
  return most ? Math.max(...valid) : Math.min(...valid);
}
