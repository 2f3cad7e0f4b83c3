/**
 * How many fronts a broker has.
 *
 * @module
 */

/** With fewer cores, fronts and core would share them, and the transport between them only costs. */
const coresMin = 4;
const automaticMax = 8;

/**
 * The number of fronts.
 *
 * @param setting `broker.fronts`
 * @param cores the cores that the process may use
 * @param platform of the process; only the Linux kernel distributes connections among listeners
 */
export function frontCount(
  setting: number | 'auto',
  cores: number,
  platform: NodeJS.Platform,
): number {
  if (setting !== 'auto') return setting;
  if (platform !== 'linux' || cores < coresMin) return 0;
  return Math.min(cores - 1, automaticMax);
}
