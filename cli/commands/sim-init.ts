/** `flotilla sim init`: writes a commented plan. @module */
import { open } from 'node:fs/promises';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { commentedPlan } from '../../device-sim/plan/commented-plan.ts';
import type { CommonOptions, Context } from '../lib/command-context.ts';

export const initPlan = async (
  file: string,
  _options: CommonOptions,
  context: Context,
): Promise<number> => {
  try {
    // 'wx': an existing file is never overwritten.
    const made = await open(file, 'wx', 0o644);
    await made.writeFile(commentedPlan);
    await made.close();
  } catch (error) {
    throw new FlotillaError('file-write-failed', { detail: file, cause: error });
  }
  context.out.result({ file }, `wrote ${file}; run it with: flotilla sim run ${file}`);
  return 0;
};
