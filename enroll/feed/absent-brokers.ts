/**
 * The brokers that do not follow the feed and would be admitted again. Nobody knows whether one has stopped, or runs with
 * open connections while only its network is cut, so a restriction is not confirmed while there is one.
 *
 * @module
 */
import { access } from 'node:fs/promises';
import type { DeviceId } from '../../core/device-id.ts';
import type { StateFolder } from '../../core/state-folder.ts';
import type { Registry } from '../registry/registry.ts';
import { ownBrokerName } from '../registry/reserved-names.ts';

/** How many are remembered. */
const absentMax = 1000;

export class AbsentBrokers {
  readonly #names = new Set<DeviceId>();

  get list(): readonly DeviceId[] {
    return [...this.#names];
  }

  /** A broker has left the feed, or is not there yet. */
  add(broker: DeviceId): void {
    if (this.#names.size < absentMax) this.#names.add(broker);
  }

  /** A broker is back, or will not be admitted any more. */
  delete(broker: DeviceId): void {
    this.#names.delete(broker);
  }
}

/**
 * The registered brokers with a certificate that is still valid: at its start, a service does not know which of them have
 * connections. The broker of this state folder counts if one has run here, because its identity may exist unused.
 */
export async function registeredBrokers(
  registry: Pick<Registry, 'list'>,
  state: StateFolder,
  nowMs: number,
): Promise<readonly DeviceId[]> {
  const { devices } = await registry.list({ kind: 'broker', status: 'active', limit: absentMax });
  const hasRunHere = await access(state.broker.directory).then(
    () => true,
    () => false,
  );
  return devices
    .filter(({ certificates }) =>
      certificates.some(({ status, notAfterMs }) => status === 'active' && notAfterMs > nowMs),
    )
    .map(({ id }) => id)
    .filter((id) => hasRunHere || id !== ownBrokerName);
}
