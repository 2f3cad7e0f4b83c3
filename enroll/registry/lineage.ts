/**
 * The history of a registry: its id, and each run of the service with the commit from which it went on.
 *
 * A broker knows the run and the commit of the newest change that it has. If they are not part of this history,
 * the registry was restored from a backup that is older than what the broker knows, or it was replaced. The number
 * of the newest commit alone does not show that, because a restored registry counts on.
 *
 * The history is stored with the rows: in `lineage.json` in the registry folder, so that a backup contains the one
 * of its time.
 *
 * @module
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { knownGenerationSchema, type KnownGeneration } from '../../core/protocol/generation.ts';
import type { StoredText } from '../../core/stored-text.ts';

/** In the registry folder. */
export const lineageFile = 'lineage.json';
/** Older runs are forgotten. */
const runsMax = 1000;
const settledMax = 100;
/** Stands for the audit log among what is settled. */
const auditRun = 'audit-log';

const runSchema = z.strictObject({
  run: z.string().min(1).max(64),
  /** The newest commit at its start. */
  from: z.int().min(0),
  startedAtMs: z.int().min(0),
  /** The newest commit in the audit log, if the registry had lost some and an operator accepted that. */
  auditedTo: z.int().min(0).optional(),
});
export type RegistryRun = z.infer<typeof runSchema>;

const historySchema = z.strictObject({
  format: z.literal(1),
  registry: z.string().min(1).max(64),
  /** Oldest first. */
  runs: z.array(runSchema).max(runsMax),
  /** What brokers knew more, after an operator has decided about it. */
  settled: z.array(knownGenerationSchema).max(settledMax),
});
export type RegistryHistory = z.infer<typeof historySchema>;

/**
 * Since when this registry has not known what a broker knows, in ms since 1970: the start of the first run after
 * the restore. Undefined when the registry has everything that the broker has.
 */
export function divergedSinceMs(
  { registry, runs, settled }: RegistryHistory,
  known: KnownGeneration,
): number | undefined {
  const isSettled = settled.some(
    (one) => one.registry === known.registry && one.run === known.run && known.commit <= one.commit,
  );
  if (isSettled) return undefined;
  const at = known.registry === registry ? runs.findIndex(({ run }) => run === known.run) : -1;
  const [oldest] = runs;
  if (at !== -1) {
    const next = runs[at + 1];
    return next !== undefined && known.commit > next.from ? next.startedAtMs : undefined;
  }
  const isForgotten =
    known.registry === registry &&
    runs.length === runsMax &&
    known.startedAtMs < (oldest?.startedAtMs ?? 0);
  if (isForgotten) return undefined;
  const after = runs.find(({ startedAtMs }) => startedAtMs > known.startedAtMs) ?? runs.at(-1);
  return after?.startedAtMs ?? 0;
}

/** Whether the registry went on from what a broker knows: nothing that the broker has was lost or replaced since. */
export function isContinued({ registry, runs }: RegistryHistory, known: KnownGeneration): boolean {
  const at = known.registry === registry ? runs.findIndex(({ run }) => run === known.run) : -1;
  const next = runs[at + 1];
  return at !== -1 && (next === undefined || known.commit <= next.from);
}

export interface LineageStart {
  /** The newest commit that the files of the registry have. */
  readonly from: number;
  /** The newest commit in the audit log. */
  readonly audited: number;
  readonly nowMs: number;
}

export class Lineage {
  readonly #stored: StoredText;
  #history: RegistryHistory;
  readonly #run: RegistryRun;

  private constructor(stored: StoredText, history: RegistryHistory, run: RegistryRun) {
    this.#stored = stored;
    this.#history = history;
    this.#run = run;
  }

  /**
   * Adds a run. It is on the disk when the promise resolves: only then may a broker learn of it.
   *
   * @throws FlotillaError `registry-damaged`, `file-write-failed`
   */
  static async begin(stored: StoredText, { from, audited, nowMs }: LineageStart): Promise<Lineage> {
    const before = (await read(stored)) ?? {
      format: 1,
      registry: randomUUID(),
      runs: [],
      settled: [],
    };
    const run: RegistryRun = {
      run: randomUUID(),
      from,
      // Two starts in the same millisecond, or a clock that was set back, must not change the order.
      startedAtMs: Math.max(nowMs, (before.runs.at(-1)?.startedAtMs ?? 0) + 1),
      ...(audited > from ? { auditedTo: audited } : {}),
    };
    const lineage = new Lineage(stored, before, run);
    await lineage.#write({ ...before, runs: [...before.runs, run].slice(-runsMax) });
    return lineage;
  }

  /** The id of the registry. */
  get registry(): string {
    return this.#history.registry;
  }

  /** This run. */
  get current(): RegistryRun {
    return this.#run;
  }

  get runs(): readonly RegistryRun[] {
    return this.#history.runs;
  }

  /** As {@link divergedSinceMs}. */
  divergedSinceMs(known: KnownGeneration): number | undefined {
    return divergedSinceMs(this.#history, known);
  }

  /** As {@link isContinued}. */
  isContinued(known: KnownGeneration): boolean {
    return isContinued(this.#history, known);
  }

  /** The commits that only the audit log has, until an operator has decided about them. */
  get lostCommits(): { readonly from: number; readonly to: number } | undefined {
    const { registry, runs, settled } = this.#history;
    const run = runs.findLast(({ auditedTo }) => auditedTo !== undefined);
    const to = run?.auditedTo;
    if (run === undefined || to === undefined) return undefined;
    const isSettled = settled.some(
      (one) => one.registry === registry && one.run === auditRun && one.commit >= to,
    );
    return isSettled ? undefined : { from: run.from, to };
  }

  /** An operator has decided about {@link lostCommits}. @throws FlotillaError `file-write-failed` */
  async settleAudit(): Promise<void> {
    const lost = this.lostCommits;
    if (lost === undefined) return;
    const { registry, current } = this;
    const { startedAtMs } = current;
    await this.settle([{ registry, run: auditRun, commit: lost.to, startedAtMs }]);
  }

  /** An operator has decided about what these brokers knew more. @throws FlotillaError `file-write-failed` */
  async settle(known: readonly KnownGeneration[]): Promise<void> {
    const settled = [...this.#history.settled, ...known].slice(-settledMax);
    await this.#write({ ...this.#history, settled });
  }

  async #write(history: RegistryHistory): Promise<void> {
    await this.#stored.write(`${JSON.stringify(history)}\n`);
    this.#history = history;
  }
}

async function read(stored: StoredText): Promise<RegistryHistory | undefined> {
  try {
    const text = await stored.read();
    return text === undefined ? undefined : historySchema.parse(JSON.parse(text));
  } catch (error) {
    throw new FlotillaError('registry-damaged', { detail: stored.place, cause: error });
  }
}
