/**
 * Which CA certificates the instances of a registry trust. Each instance has the CA in its own state folder; one that
 * begins a term must have what the one before it had. Otherwise it would not accept certificates that exist, or it would
 * accept an issuer that was withdrawn.
 *
 * @module
 */
import { z } from 'zod';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { Logger } from '../../core/log.ts';
import type { StoredText } from '../../core/stored-text.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';

/** Older ones are forgotten. */
const knownMax = 1000;

const recordSchema = z.strictObject({
  /** Who wrote it. */
  instance: z.string(),
  roots: z.array(z.string()),
  /** Roots and issuers that are trusted. */
  trusted: z.array(z.string()),
  /** All that were ever trusted. */
  known: z.array(z.string()),
});
type AuthorityRecord = z.infer<typeof recordSchema>;

/** Undefined in a new database. @throws FlotillaError `registry-damaged` */
export async function readAuthorities(stored: StoredText): Promise<AuthorityRecord | undefined> {
  const text = await stored.read();
  if (text === undefined) return undefined;
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new FlotillaError('registry-damaged', { detail: stored.place, cause: error });
  }
}

/**
 * Compares the CA with the record, writes the record, and again at each change of the CA.
 *
 * The instance that wrote the record may differ from it: it may have ended between a change and the record.
 *
 * @returns a function that stops
 * @throws FlotillaError `database-ca-differs`
 */
export async function keepAuthorities(
  stored: StoredText,
  ca: CertificateAuthority,
  instance: string,
  log: Logger,
): Promise<() => void> {
  const write = await claimAuthorities(stored, ca, instance);
  return ca.onChange(() => {
    write().catch((error: unknown) => {
      log.error({ err: error }, 'the database does not know the change of the CA yet');
    });
  });
}

/**
 * Compares the CA with the record, and writes the record.
 *
 * @returns a function that writes it again
 * @throws FlotillaError `database-ca-differs`, `registry-unavailable`
 */
export async function claimAuthorities(
  stored: StoredText,
  ca: TrustedCa,
  instance: string,
): Promise<() => Promise<void>> {
  let record = await readAuthorities(stored);
  const fault = record === undefined ? undefined : faultOf(record, ca, instance);
  if (fault !== undefined) throw new FlotillaError('database-ca-differs', { detail: fault });
  const write = async (): Promise<void> => {
    const { roots, trusted } = authoritiesOf(ca);
    const known = [...new Set([...(record?.known ?? []), ...trusted])].slice(-knownMax);
    record = { instance, roots, trusted, known };
    await stored.write(JSON.stringify(record));
  };
  await write();
  return write;
}

type TrustedCa = Pick<CertificateAuthority, 'inventory'>;

function authoritiesOf({ inventory }: TrustedCa): {
  roots: string[];
  trusted: string[];
} {
  const roots = inventory.roots.map(({ fingerprint }) => fingerprint);
  const issuers = inventory.issuers.map(({ certificate }) => certificate.fingerprint);
  return { roots, trusted: [...roots, ...issuers] };
}

function faultOf(record: AuthorityRecord, ca: TrustedCa, instance: string): string | undefined {
  const { roots, trusted } = authoritiesOf(ca);
  const own = new Set(trusted);
  if (!record.roots.some((root) => own.has(root))) {
    return `the database has root ${record.roots.join(', ')}, this state folder has ${roots.join(', ')}`;
  }
  if (record.instance === instance) return undefined;
  const missing = record.trusted.filter((one) => !own.has(one));
  if (missing.length > 0) return `${missing.join(', ')} is missing here`;
  const recorded = new Set(record.trusted);
  const removed = record.known.filter((one) => own.has(one) && !recorded.has(one));
  return removed.length > 0 ? `${removed.join(', ')} is not trusted any more` : undefined;
}
