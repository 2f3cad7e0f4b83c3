/**
 * Starts simulations for the console: each is a process of its own, `flotilla sim run`, so that it cannot
 * disturb the services and its use of CPU is measured apart from theirs.
 *
 * @module
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import {
  simulationComparisonSchema,
  type SimulationChecked,
} from '../../core/protocol/simulation-api.ts';
import { ReadingThread } from '../../core/reading-thread.ts';
import { workerModule } from '../../core/worker-module.ts';
import type {
  RunningSimulation,
  SamplePlan,
  SimulationEnd,
  SimulationRunner,
  SimulationStart,
} from '../../enroll/simulations/simulation-runner.ts';
import { ownProgram } from './own-program.ts';
import { simulationProgressOf } from './simulation-progress.ts';

/** After this time without an end, the process is killed. */
const stopGraceMs = 30_000;
/** Lines of the process that are kept to explain a failure. */
const linesKeptMax = 5;
const lineMaxChars = 300;
const exitCodes: Readonly<Record<number, SimulationEnd['outcome']>> = { 0: 'passed', 3: 'failed' };

// The first place exists in a checkout, the second in an installed package.
const samplePlaces = ['../../examples/plans/', '../../../examples/plans/'];
const sampleNames = ['smoke', 'first', 'commands', 'security'];

const planReaderUrl = workerModule('./plan-reader-worker', import.meta.url);

/** @param stateRoot the state folder; the process finds services and certificate in it */
export function simulationProcesses(stateRoot: string): SimulationRunner {
  const reader = new ReadingThread<string, SimulationChecked>({
    module: planReaderUrl,
    tooLong: 'plan-unreadable',
  });
  return {
    samples: readSamples,
    planSchema: async () => ({
      ...(await import('../../device-sim/plan/read-plan.ts')).planJsonSchema(),
    }),
    check: (plan, caller) => reader.run(plan, caller),
    start: (run) => startProcess(stateRoot, run),
    async compare(folderA, folderB) {
      const { comparisonOf, readReport } = await import('../../device-sim/report/compare.ts');
      const [a, b] = await Promise.all([readReport(folderA), readReport(folderB)]);
      return simulationComparisonSchema.parse(comparisonOf(a, b));
    },
  };
}

async function readSamples(): Promise<SamplePlan[]> {
  const folder = firstPlace(samplePlaces);
  if (folder === undefined) return [];
  return Promise.all(
    sampleNames.map(async (name) => {
      const plan = await readFile(`${folder}${name}.yaml`, 'utf8');
      const [, description = ''] = /^description: (.*)$/m.exec(plan) ?? [];
      return { name, description, plan };
    }),
  );
}

function startProcess(stateRoot: string, run: SimulationStart): RunningSimulation {
  const program = ownProgram();
  if (program === undefined) {
    const failure = 'the program of the command line was not found';
    return { ended: Promise.resolve({ outcome: 'error', failure }), stop: () => undefined };
  }
  const files = [run.planFile, '--state', stateRoot, '--report', run.reportFolder];
  const child = spawn(
    process.execPath,
    [program, 'sim', 'run', ...files, '--progress', 'json', '--json'],
    // A reader of its progress that is gone ends the process: it does not outlive the service.
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const lines: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    const progress = simulationProgressOf(line);
    if (progress !== undefined) run.onProgress(progress);
    else if (!line.startsWith('{')) {
      lines.push(line.slice(0, lineMaxChars));
      if (lines.length > linesKeptMax) lines.shift();
    }
  });
  return { ended: endOf(child, lines), stop: () => stopProcess(child) };
}

function endOf(child: ChildProcess, lines: readonly string[]): Promise<SimulationEnd> {
  return new Promise((resolve) => {
    child.once('error', ({ message }) => resolve({ outcome: 'error', failure: message }));
    child.once('close', (code, signal) => {
      const outcome = exitCodes[code ?? -1] ?? 'error';
      const how = signal === null ? `exit code ${code ?? ''}` : signal;
      resolve({ outcome, failure: outcome === 'error' ? lines.join('\n') || how : null });
    });
  });
}

function stopProcess(child: ChildProcess): void {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGINT');
  const timer = setTimeout(() => child.kill('SIGKILL'), stopGraceMs);
  child.once('close', () => clearTimeout(timer));
}

function firstPlace(places: readonly string[]): string | undefined {
  return places
    .map((place) => fileURLToPath(new URL(place, import.meta.url)))
    .find((path) => existsSync(path));
}
