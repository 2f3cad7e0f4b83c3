/**
 * Bulk import of devices and of tokens that were made elsewhere, for example in the factory.
 *
 * Rows go in by commits of some hundred; a row that cannot be taken is named in the answer and does
 * not hold up the others. The same file may be imported again: what is there is updated.
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
import { newIdentity } from '../registry/device-rows.ts';
import type { DeviceRecord } from '../registry/records.ts';
import { retryOnConflict, type Put, type Registry } from '../registry/registry.ts';
import type { ReadRow } from './import-rows.ts';

const rowsPerCommit = 250;
const refusedMax = 1000;

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
}

/** Imports rows. */
export async function importRows(
  rows: Iterable<ReadRow>,
  actor: string,
  deps: ImportDeps,
): Promise<Imported> {
  const imported: Imported = { created: 0, updated: 0, tokens: 0, refused: [] };
  const refuse = (line: number, reason: string): void => {
    if (imported.refused.length < refusedMax) imported.refused.push({ line, reason });
  };
  let batch = new Map<string, { line: number; row: ImportRow }>();
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
  batch: readonly { line: number; row: ImportRow }[],
  actor: string,
  { registry, config, clock }: ImportDeps,
): Promise<Imported> {
  const done: Imported = { created: 0, updated: 0, tokens: 0, refused: [] };
  const puts: Put[] = [];
  const hashes = new Set<string>();
  const now = clock.now();
  for (const { line, row } of batch) {
    const refuse = (reason: string): void => void done.refused.push({ line, reason });
    const before = await registry.get('devices', row.id);
    const hash = row.token === undefined ? undefined : tokenHash(row.token);
    if (row.id.length > commonNameMaxChars) {
      refuse(`the id has more than ${commonNameMaxChars} characters`);
      continue;
    }
    if (before !== undefined && before.role !== 'device') {
      refuse(`${row.id} is an identity of role ${before.role}`);
      continue;
    }
    if (row.token !== undefined && hash === undefined) {
      refuse('the token is not 32 bytes in base64url');
      continue;
    }
    if (row.profile !== undefined && !isProfile(config, row.profile)) {
      refuse(`there is no profile ${row.profile}`);
      continue;
    }
    const attributes = { ...before?.attributes, ...row.attributes };
    if (Object.keys(attributes).length > attributesMax) {
      refuse(`more than ${attributesMax} attributes`);
      continue;
    }
    if (hash !== undefined) {
      const known = await registry.get('tokens', hash);
      if (hashes.has(hash) || (known !== undefined && known.device !== row.id)) {
        refuse('the token belongs to another device');
        continue;
      }
      hashes.add(hash);
      if (known === undefined) {
        done.tokens++;
        puts.push({
          table: 'tokens',
          record: {
            hash,
            device: row.id,
            group: row.group ?? null,
            profile: row.profile ?? null,
            usesMax: 1,
            uses: 0,
            createdAtMs: now,
            expiresAtMs: now + config.enroll.importedTokenTtl,
          },
          expected: 0,
        });
      }
    }
    const known: DeviceRecord =
      before ?? newIdentity({ id: row.id, role: 'device', status: 'pending', createdAtMs: now });
    puts.push({
      table: 'devices',
      record: {
        ...known,
        group: row.group ?? known.group,
        profile: row.profile ?? (before === undefined ? defaultProfileName : known.profile),
        attributes,
      },
      expected: before?.version ?? 0,
    });
    if (before === undefined) done.created++;
    else done.updated++;
  }
  if (puts.length > 0) {
    await registry.commit({
      puts,
      events: [
        {
          action: 'device-imported',
          actor,
          detail: { created: done.created, updated: done.updated, tokens: done.tokens },
        },
      ],
    });
  }
  return done;
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
