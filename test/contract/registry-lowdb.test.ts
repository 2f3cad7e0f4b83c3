import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { systemClock } from '../../core/clock.ts';
import { silentLog } from '../../core/log.ts';
import type { AuditEvent } from '../../enroll/audit/audit-event.ts';
import { openLowdbRegistry } from '../../enroll/registry/lowdb-registry.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { registryContract, type Opened } from './registry.ts';

registryContract(test, 'lowdb', (t) => openIn(t, join(tempFolder(t), 'registry')));

async function openIn(t: ExecutionContext, folder: string): Promise<Opened> {
  const events: AuditEvent[] = [];
  const registry = await openLowdbRegistry(folder, {
    clock: systemClock,
    log: silentLog,
    sink: (found) => {
      events.push(...found.map(({ event }) => event));
      return Promise.resolve();
    },
  });
  t.teardown(() => registry.close());
  return {
    registry,
    events,
    async reopen() {
      await registry.close();
      return openIn(t, folder);
    },
  };
}
