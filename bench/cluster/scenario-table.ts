/**
 * The scenarios of the cluster benchmark by name.
 *
 * @module
 */
import { cpuShares } from './cpu-shares.ts';
import { disturbances } from './disturbance-run.ts';
import type { Scenario } from './scenario.ts';
import { sharedRounds } from './shared-rounds.ts';
import { takeoverRounds } from './takeover-rounds.ts';
import { visibilityRounds } from './visibility-rounds.ts';
import { willRounds } from './will-rounds.ts';

export const scenarios: Readonly<Record<string, Scenario>> = {
  ...disturbances,
  ...visibilityRounds,
  takeover: takeoverRounds,
  wills: willRounds,
  shared: sharedRounds,
  cpu: cpuShares,
};
