/**
 * The mark of an import or an export in the database. The rows of an import that has not ended are worth nothing, and the
 * next attempt deletes them. After an export, the registry goes on in files.
 *
 * @module
 */
import { z } from 'zod';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { StoredText } from '../../core/stored-text.ts';
import type { DatabaseExtent } from './postgres-audit.ts';

/** The name of the text. */
export const importMark = 'import';

const markSchema = z.discriminatedUnion('state', [
  z.strictObject({ state: z.literal('begun') }),
  z.strictObject({ state: z.literal('exported') }),
  /** Which files were imported: their newest commit, and the last line of their audit log. */
  z.strictObject({
    state: z.literal('ended'),
    number: z.int().min(0),
    auditSeq: z.int().min(0),
    auditHash: z.string(),
  }),
]);
type ImportMark = z.infer<typeof markSchema>;

/** Undefined: no import has begun. @throws FlotillaError `registry-damaged` */
export async function readImportMark(stored: StoredText): Promise<ImportMark | undefined> {
  const text = await stored.read();
  if (text === undefined) return undefined;
  try {
    return markSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new FlotillaError('registry-damaged', { detail: stored.place, cause: error });
  }
}

/** The text of a mark: with what was imported when it has ended. */
export function importMarkText(ended: DatabaseExtent | undefined): string {
  if (ended === undefined) return JSON.stringify({ state: 'begun' } satisfies ImportMark);
  const { number, auditSeq, auditHash } = ended;
  return JSON.stringify({ state: 'ended', number, auditSeq, auditHash } satisfies ImportMark);
}

export const exportedText = JSON.stringify({ state: 'exported' } satisfies ImportMark);

/** @throws FlotillaError `registry-import-unfinished`, `registry-exported` */
export async function assertNotMoving(stored: StoredText): Promise<void> {
  const mark = await readImportMark(stored);
  if (mark?.state === 'begun') throw new FlotillaError('registry-import-unfinished');
  if (mark?.state === 'exported') throw new FlotillaError('registry-exported');
}
