/**
 * Checks the files that running services keep in a state folder: addresses and locks.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { FindingList } from '../../core/integrity/finding.ts';
import { systemProcesses, type ProcessState } from '../../core/process-identity.ts';
import type { StateFolder } from '../../core/state-folder.ts';

const processSchema = z.object({
  pid: z.int(),
  boot: z.string(),
  namespace: z.string(),
  started: z.string(),
});
const recordSchema = z.union([
  processSchema,
  z.object({ process: processSchema }).transform(({ process }) => process),
]);

/** Which services use the folder. `unknown`: a process of another machine or container may. */
export interface RunningServices {
  readonly enroll: ProcessState;
  readonly broker: ProcessState;
}

/** Reports files whose process has ended, and files that cannot be read. */
export async function checkRunFiles(
  state: StateFolder,
  findings: FindingList,
): Promise<RunningServices> {
  const files = {
    enroll: [
      state.run.enroll,
      join(state.run.folder, 'enroll.lock'),
      join(state.enroll.registry, 'lock'),
    ],
    broker: [state.run.broker, join(state.run.folder, 'broker.lock')],
  };
  return {
    enroll: await stateOfService(files.enroll, findings),
    broker: await stateOfService(files.broker, findings),
  };
}

/** One crash leaves several files: only the first is reported. */
async function stateOfService(
  paths: readonly string[],
  findings: FindingList,
): Promise<ProcessState> {
  const states = new Set<ProcessState>();
  const stale: { readonly path: string; readonly detail: string }[] = [];
  for (const path of paths) {
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    const record = recordSchema.safeParse(parsed(text));
    const found = record.success ? systemProcesses.stateOf(record.data) : 'unknown';
    if (!record.success) stale.push({ path, detail: 'it cannot be read' });
    else if (found === 'ended')
      stale.push({ path, detail: `process ${record.data.pid} has ended` });
    states.add(found);
  }
  const [first] = stale;
  if (first !== undefined) findings.add('run-file-stale', first.path, first.detail);
  if (states.has('running')) return 'running';
  return states.has('unknown') ? 'unknown' : 'ended';
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
