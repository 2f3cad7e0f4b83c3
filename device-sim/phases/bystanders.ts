/**
 * The devices that a drill does not mean: none of them may be disturbed by it.
 *
 * @module
 */
import type { PhaseContext } from './phase-context.ts';

export interface Bystanders {
  /** How many connections they lost since the watch began. */
  drops(): Promise<number>;
}

/** Watches all devices but those that the drill is about. */
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

/** The sentence for it. */
export function bystanderEvidence(drops: number): string {
  return drops === 0
    ? 'no other device was disturbed'
    : `${drops} connections of other devices were lost meanwhile`;
}
