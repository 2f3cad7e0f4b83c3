/**
 * Everything that a run needs to authenticate with its target: trusted certificates, enrollment,
 * stored credentials, and identities for observers.
 *
 * @module
 */
import { createHash, X509Certificate } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { DialIdentity } from '../device/dial.ts';
import type { Plan } from '../plan/plan-schema.ts';
import type { Roster } from '../fleet/roster.ts';
import { isFlotilla, type SimTarget } from '../fleet/target.ts';
import { readFolderCa, readFolderCredentials, readFolderObserver } from './certificate-folder.ts';
import {
  fileCredentialStore,
  noCredentialStore,
  type CredentialStore,
} from './credential-store.ts';
import { ServiceApi } from './service-api.ts';

export interface RunCredentials {
  /** PEM of the certificates that are trusted at the broker. */
  readonly ca: string;
  readonly enroll: { readonly url: string; readonly ca: string } | undefined;
  readonly api: ServiceApi | undefined;
  readonly credentialStore: CredentialStore;
  /** An identity for an observer. `name` is its client id when it cannot be the requested one. */
  observer(name: string): Promise<DialIdentity & { readonly name: string | undefined }>;
  /** Removes the observers and these devices from the registry. */
  cleanUp(devices: readonly string[]): Promise<void>;
  close(): void;
}

/**
 * @throws FlotillaError `sim-certificate-missing`, `sim-certificate-unusable` when a certificate for
 *   the plan is missing in the folder or not valid
 */
export async function openCredentials(
  plan: Plan,
  target: SimTarget,
  roster: Roster,
  clock: Clock,
): Promise<RunCredentials> {
  if (!isFlotilla(target)) {
    const folder = target.certificates;
    const ca = target.ca ?? (await readFolderCa(folder));
    const ids = roster.numbersOf().map((number) => roster.idOf(number));
    const credentials = await readFolderCredentials(folder, ids, clock.now());
    const observer = await readFolderObserver(folder);
    if (observer === undefined && plan.run.observers > 0) {
      throw new FlotillaError('sim-certificate-missing', {
        detail: `${folder}/observer/key.pem and chain.pem, for the subscriber that checks what is delivered (or set run.observers: 0)`,
      });
    }
    return {
      ca,
      enroll: undefined,
      api: undefined,
      credentialStore: {
        find: () => Promise.resolve(credentials),
        save: () => Promise.resolve(),
        remove: () => Promise.resolve(),
      },
      observer: () =>
        observer === undefined
          ? Promise.reject(new FlotillaError('sim-certificate-missing', { detail: folder }))
          : Promise.resolve(observer),
      cleanUp: () => Promise.resolve(),
      close: () => undefined,
    };
  }
  const { enrollUrl, ca, admin, keepFolder } = target;
  const api = new ServiceApi(enrollUrl, ca, admin);
  const created: string[] = [];
  const root = createHash('sha256').update(new X509Certificate(ca).raw).digest('hex');
  return {
    ca,
    enroll: { url: enrollUrl, ca },
    api,
    credentialStore:
      keepFolder !== undefined
        ? fileCredentialStore(keepFolder, plan.name, root, () => clock.now())
        : noCredentialStore,
    async observer(name) {
      const identity = await api.createService(name);
      created.push(name);
      return { ...identity, name: undefined };
    },
    async cleanUp(devices) {
      for (const name of created) await api.remove(name);
      const queue = [...devices];
      const one = async (): Promise<void> => {
        for (let id = queue.pop(); id !== undefined; id = queue.pop()) await api.remove(id);
      };
      await Promise.all(Array.from({ length: 4 }, one));
    },
    close: () => api.close(),
  };
}
