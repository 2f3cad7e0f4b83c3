/**
 * Bulk import of devices and of tokens that were created elsewhere, for example in the factory.
 *
 * Rows are committed a few hundred at a time. A row that cannot be imported is listed in the response and
 * does not stop the others. The same file may be imported again: devices that exist are updated.
 *
 * @module
 */
import { setImmediate as turn } from 'node:timers/promises';
import { commonNameMaxChars } from '../../certs/distinguished-name.ts';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../core/config/config.ts';
import type { ImportRow } from '../../core/protocol/enrollment-api.ts';
import { isFlotillaError } from '../../core/errors/flotilla-error.ts';
import { attributesMax } from '../devices/devices.ts';
import { defaultProfileName, profileOf } from '../enrollment/profiles.ts';
import { tokenHash } from '../enrollment/tokens.ts';
import { withRole } from '../registry/assigned-role.ts';
import { newIdentity } from '../registry/device-rows.ts';
import { isNameAllowed } from '../registry/reserved-names.ts';
import type { DeviceRecord, TokenRecord } from '../registry/records.ts';
import { retryOnConflict, type Put, type Registry, type Stored } from '../registry/registry.ts';
import type { ReadRow } from './import-rows.ts';

const rowsPerCommit = 250;
const refusedMax = 1000;
/** How many roles of a batch the audit log names. */
const rolesNamedMax = 20;

export interface Imported {
  created: number;
  updated: number;
  tokens: number;
  refused: { line: number; reason: string }[];
}

export interface ImportDeps {
  readonly registry: Registry;
  readonly config: Config;
  readonly clock: Clock;
  /** Why a role of the policy cannot be given; undefined: it can. */
  readonly roleFault: (role: string) => Promise<string | undefined>;
}

interface Line {
  readonly line: number;
  readonly row: ImportRow;
}

/** The rows that the registry has for a row of the import. */
interface Found {
  /** Whether an operator has the name. */
  readonly isOperator: boolean;
  readonly device: Stored<DeviceRecord> | undefined;
  /** The hash of the row's token; undefined without one, or when it is malformed. */
  readonly hash: string | undefined;
  readonly token: Stored<TokenRecord> | undefined;
  readonly roleFault: string | undefined;
}

/** Imports rows. @throws FlotillaError `registry-unavailable`; commits before that stay */
export async function importRows(
  rows: Iterable<ReadRow>,
  actor: string,
  deps: ImportDeps,
): Promise<Imported> {
  const imported: Imported = { created: 0, updated: 0, tokens: 0, refused: [] };
  const refuse = (line: number, reason: string): void => {
    if (imported.refused.length < refusedMax) imported.refused.push({ line, reason });
  };
  let batch = new Map<string, Line>();
  const flush = async (): Promise<void> => {
    const taken = batch;
    batch = new Map();
    const done = await retryOnConflict(() => commitBatch([...taken.values()], actor, deps));
    imported.created += done.created;
    imported.updated += done.updated;
    imported.tokens += done.tokens;
    for (const { line, reason } of done.refused) refuse(line, reason);
    await turn();
  };
  for (const { line, row, fault } of rows) {
    if (row === undefined) {
      refuse(line, fault);
      continue;
    }
    if (batch.has(row.id)) await flush();
    batch.set(row.id, { line, row });
    if (batch.size >= rowsPerCommit) await flush();
  }
  if (batch.size > 0) await flush();
  return imported;
}

async function commitBatch(
  batch: readonly Line[],
  actor: string,
  deps: ImportDeps,
): Promise<Imported> {
  const done: Imported = { created: 0, updated: 0, tokens: 0, refused: [] };
  const puts: Put[] = [];
  const hashes = new Set<string>();
  for (const { line, row } of batch) {
    const found = await lookUp(row, deps);
    const reason = faultOf(row, found, hashes, deps.config);
    if (reason !== undefined) {
      done.refused.push({ line, reason });
      continue;
    }
    if (found.hash !== undefined) hashes.add(found.hash);
    puts.push(...putsOf(row, found, deps));
    if (found.hash !== undefined && found.token === undefined) done.tokens++;
    if (found.device === undefined) done.created++;
    else done.updated++;
  }
  if (puts.length > 0) {
    const { created, updated, tokens } = done;
    const roles = rolesOf(batch);
    await deps.registry.commit({
      puts,
      events: [
        {
          action: 'device-imported',
          actor,
          detail: { created, updated, tokens, ...(roles === '' ? {} : { roles }) },
        },
      ],
    });
  }
  return done;
}

/** The roles of a batch, for the audit log. */
function rolesOf(batch: readonly Line[]): string {
  const roles = new Set(batch.flatMap(({ row }) => (row.role === undefined ? [] : [row.role])));
  return [...roles].slice(0, rolesNamedMax).join(' ');
}

async function lookUp(row: ImportRow, { registry, roleFault }: ImportDeps): Promise<Found> {
  const hash = row.token === undefined ? undefined : tokenHash(row.token);
  return {
    device: await registry.get('devices', row.id),
    isOperator: (await registry.get('operators', row.id)) !== undefined,
    hash,
    token: hash === undefined ? undefined : await registry.get('tokens', hash),
    roleFault: row.role === undefined ? undefined : await roleFault(row.role),
  };
}

/**
 * Why a row cannot be imported.
 *
 * @param hashes of the tokens of earlier rows
 */
function faultOf(
  row: ImportRow,
  { device, isOperator, hash, token, roleFault }: Found,
  hashes: ReadonlySet<string>,
  config: Config,
): string | undefined {
  if (row.id.length > commonNameMaxChars) {
    return `the id has more than ${commonNameMaxChars} characters`;
  }
  if (device !== undefined && device.role !== 'device') {
    return `${row.id} is an identity of role ${device.role}`;
  }
  if (!isNameAllowed(row.id, 'device')) return `${row.id} is a reserved name`;
  if (isOperator) return `${row.id} is the name of an operator`;
  if (row.token !== undefined && hash === undefined) {
    return 'the token is not 32 bytes in base64url';
  }
  if (roleFault !== undefined) return roleFault;
  if (row.profile !== undefined && !isProfile(config, row.profile)) {
    return `there is no profile ${row.profile}`;
  }
  if (Object.keys({ ...device?.attributes, ...row.attributes }).length > attributesMax) {
    return `more than ${attributesMax} attributes`;
  }
  const isTaken = token !== undefined && token.device !== row.id;
  if (isTaken || (hash !== undefined && hashes.has(hash))) {
    return 'the token belongs to another device';
  }
  return undefined;
}

/** The rows to write: the device, and its token if that is new. */
function putsOf(row: ImportRow, { device, hash, token }: Found, deps: ImportDeps): Put[] {
  const { config, clock } = deps;
  const createdAtMs = clock.now();
  const known: DeviceRecord =
    device ?? newIdentity({ id: row.id, role: 'device', status: 'pending', createdAtMs });
  const puts: Put[] = [
    {
      table: 'devices',
      record: {
        ...withRole(known, row.role),
        group: row.group ?? known.group,
        profile: row.profile ?? (device === undefined ? defaultProfileName : known.profile),
        attributes: { ...known.attributes, ...row.attributes },
      },
      expected: device?.version ?? 0,
    },
  ];
  if (hash === undefined || token !== undefined) return puts;
  const record = {
    hash,
    device: row.id,
    group: row.group ?? null,
    ...(row.role === undefined ? {} : { role: row.role }),
    profile: row.profile ?? null,
    usesMax: 1,
    uses: 0,
    createdAtMs,
    expiresAtMs: createdAtMs + config.enroll.importedTokenTtl,
  };
  return [...puts, { table: 'tokens', record, expected: 0 }];
}

function isProfile(config: Config, name: string): boolean {
  try {
    profileOf(config, name);
    return true;
  } catch (error) {
    if (isFlotillaError(error, 'profile-not-found')) return false;
    throw error;
  }
}
