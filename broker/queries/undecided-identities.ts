/**
 * The identities about which this broker knows more than a registry that was restored, by page.
 *
 * @module
 */
import type { EarlierIdentity } from '../../core/protocol/broker-query.ts';
import type { Directory } from '../feed/broker-directory.ts';

/** An entry can have 20 KB of attributes; the answer must stay below its limit. */
const pageMaxChars = 1024 * 1024;

export function undecidedIdentities(
  { earlier, undecided }: Pick<Directory, 'earlier' | 'undecided'>,
  { limit, after = '' }: { readonly limit: number; readonly after?: string | undefined },
): { identities: EarlierIdentity[]; next: string | null } {
  const ids = [...undecided].filter((id) => id > after).sort();
  const identities: EarlierIdentity[] = [];
  let chars = 0;
  for (const id of ids) {
    if (identities.length >= limit || chars > pageMaxChars) break;
    const entry = earlier?.entries.get(id) ?? null;
    // A cast at the border to the directory, whose keys are ids.
    identities.push({ id: id as EarlierIdentity['id'], entry });
    chars += JSON.stringify(entry).length;
  }
  const isLast = identities.length === ids.length;
  return { identities, next: isLast ? null : (identities.at(-1)?.id ?? null) };
}
