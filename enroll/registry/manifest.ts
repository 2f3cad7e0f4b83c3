/**
 * What a registry folder must contain: the files of the shards, the number of the newest commit in them, and
 * the journal with the commits since. It also names the last line of the audit log. With it, files that are
 * missing, a registry that is older than the audit log, and an audit log without its last lines are noticed.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from '../../core/atomic-file.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

const manifestSchema = z.strictObject({
  format: z.literal(1),
  /** The newest commit that the shards contain. */
  number: z.int().min(0),
  /** `devices/00.json` */
  shards: z.array(z.string().max(64)).max(10_000),
  /** The number of the journal that contains the commits since; missing in files of earlier versions. */
  journal: z.int().min(1).optional(),
  /** A line that the audit log has. */
  audit: z.strictObject({ seq: z.int().min(0), hash: z.string().max(64) }).optional(),
});
export type Manifest = Omit<z.infer<typeof manifestSchema>, 'format'>;

/** @returns undefined when there is none: a new folder, or one of an earlier version */
export async function readManifest(folder: string): Promise<Manifest | undefined> {
  const path = join(folder, 'manifest.json');
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new FlotillaError('registry-damaged', { detail: path, cause: error });
  }
  try {
    return manifestSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new FlotillaError('registry-damaged', { detail: path, cause: error });
  }
}

/** @throws FlotillaError `file-write-failed` */
export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  const path = join(folder, 'manifest.json');
  await writeFileAtomic(path, `${JSON.stringify({ format: 1, ...manifest })}\n`);
}
