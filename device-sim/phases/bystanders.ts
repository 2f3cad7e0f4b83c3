/**
 * Watches the devices that a drill does not target: none of them may lose its connection.
 *
 * @module
 */
import type { PhaseContext } from './phase-context.ts';

export interface Bystanders {
  /** Connections lost since the start of the watch. */
  drops(): Promise<number>;
}

/** Watches all devices except those that the drill targets. */
export async function watchBystanders(
  { pool }: PhaseContext,
  except: readonly number[],
): Promise<Bystanders> {
  const count = async (): Promise<number> => {
    const parts = await Promise.all(
      pool.deviceWorkers.map((worker) => worker.call('drops', { except })),
    );
    return parts.reduce((sum, { drops }) => sum + drops, 0);
  };
  const before = await count();
  return { drops: async () => (await count()) - before };
}

/** The sentence for the report. */
export function bystanderEvidence(drops: number): string {
  return drops === 0
    ? 'no other device was disturbed'
    : `${drops} connections of other devices were lost meanwhile`;
}
