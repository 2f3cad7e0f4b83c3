/**
 * The schema of a plan. The published JSON Schema (docs/plan.schema.json) is generated from it.
 *
 * @module
 */
import { z } from 'zod';
import { groupSchema, type GroupSpec } from './fleet-schema.ts';
import { stepSchema, type StepSpec } from './phase-schema.ts';
import { devicesMax, duration, hostPortText, plainName, topicText } from './plan-values.ts';
import { isComparison } from './threshold.ts';

const runSchema = z.strictObject({
  workers: z.int().min(1).max(256).optional().describe('Worker processes (default: one per core)'),
  agents: z
    .array(plainName)
    .max(256)
    .default([])
    .describe('Devices that run flotilla sim agent on other hosts; they carry the fleet'),
  sourceAddresses: z
    .array(z.union([z.ipv4(), z.cidrv4()]))
    .max(256)
    .default([])
    .describe('Local addresses to connect from, e.g. 127.0.0.0/28'),
  brokers: z
    .array(hostPortText)
    .min(1)
    .max(64)
    .optional()
    .describe(
      'Brokers of the fleet, host:port; devices are distributed by their number. --mqtts overrides it',
    ),
  observers: z
    .int()
    .min(0)
    .max(16)
    .default(1)
    .describe('Service subscribers per broker that check what is delivered'),
  observerClient: z.enum(['mqttjs', 'light']).default('light'),
  observe: z
    .array(topicText)
    .max(16)
    .optional()
    .describe('Topic filters of the observers (default: made from the topics of the fleet)'),
  drain: duration
    .prefault('10s')
    .describe('How long to wait at the end for messages that are still in flight'),
  keep: z.boolean().default(false).describe('Keep keys and certificates for the next run'),
  removeDevices: z
    .boolean()
    .default(false)
    .describe('Delete the devices from the registry at the end'),
});

export const planSchema = z
  .strictObject({
    name: plainName.describe('Name of the plan in the report'),
    description: z.string().max(2000).optional(),
    seed: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/)
      .optional()
      .describe('The same seed gives the same ids, schedules, payloads and faults'),
    fleet: z.array(groupSchema).min(1).max(64),
    run: runSchema.prefault({}),
    phases: z.array(stepSchema).min(1).max(64),
    thresholds: z
      .array(
        z.string().max(200).refine(isComparison, {
          error:
            'not a threshold: write a figure of the report, a comparison and a number, like latencyMs.endToEnd.p99 <= 250',
        }),
      )
      .max(100)
      .optional()
      .describe('Conditions on figures of the report, e.g. messages.lost <= 0'),
  })
  .superRefine((plan, context) => {
    for (const { path, message } of [...fleetFaults(plan.fleet), ...phaseFaults(plan)]) {
      context.addIssue({ code: 'custom', path: [...path], message });
    }
  });

/** A checked plan: durations in ms, rates per second, all defaults filled in. */
export type Plan = z.output<typeof planSchema>;

interface Fault {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

function fleetFaults(fleet: readonly GroupSpec[]): Fault[] {
  const faults: Fault[] = [];
  const names = new Set<string>();
  for (const [index, { group }] of fleet.entries()) {
    if (names.has(group)) {
      faults.push({
        path: ['fleet', index, 'group'],
        message: `the group ${group} is defined twice`,
      });
    }
    names.add(group);
  }
  const total = fleet.reduce((sum, { count }) => sum + count, 0);
  if (total > devicesMax) {
    faults.push({ path: ['fleet'], message: `${total} devices exceed the limit of ${devicesMax}` });
  }
  return faults;
}

function phaseFaults(plan: {
  readonly fleet: readonly GroupSpec[];
  readonly phases: readonly StepSpec[];
}): Fault[] {
  const faults: Fault[] = [];
  const groups = new Set(plan.fleet.map(({ group }) => group));
  const names = new Set<string>();
  for (const [index, step] of plan.phases.entries()) {
    const parallel = 'parallel' in step;
    for (const [at, phase] of (parallel ? step.parallel : [step]).entries()) {
      const path = ['phases', index, ...(parallel ? ['parallel', at] : [])];
      for (const group of phase.groups ?? []) {
        if (groups.has(group)) continue;
        faults.push({ path: [...path, 'groups'], message: `there is no group ${group}` });
      }
      if (phase.name !== undefined) {
        if (names.has(phase.name)) {
          faults.push({
            path: [...path, 'name'],
            message: `the phase ${phase.name} is defined twice`,
          });
        }
        names.add(phase.name);
      }
      if (phase.phase === 'ramp' && phase.rate !== undefined && phase.over !== undefined) {
        faults.push({ path, message: 'set rate or over, not both' });
      }
    }
  }
  return faults;
}
