/** The folders of simulations on the disk. @module */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { simulationRunSchema, type SimulationRun } from '../../core/protocol/simulation-api.ts';

/** Names begin with the time of the start. */
const folderName = /^\d{8}t\d{9}-[0-9a-f]{8}$/;

/** The file that describes the run of a folder. */
export function runFile(folder: string): string {
  return join(folder, 'run.json');
}

/** All runs, newest first. Folders without a valid `run.json` are ignored. */
export async function readRuns(folder: string): Promise<SimulationRun[]> {
  const names = await readdir(folder).catch(() => []);
  const runs: SimulationRun[] = [];
  for (const name of names.filter((one) => folderName.test(one)).sort()) {
    const run = await readRun(join(folder, name));
    if (run?.id === name) runs.unshift(run);
  }
  return runs;
}

async function readRun(folder: string): Promise<SimulationRun | undefined> {
  try {
    const run = simulationRunSchema.parse(JSON.parse(await readFile(runFile(folder), 'utf8')));
    if (run.outcome !== 'running') return run;
    return {
      ...run,
      endedAt: run.startedAt,
      outcome: 'error',
      failure: 'the service stopped while it ran',
    };
  } catch {
    return undefined;
  }
}
