/** A choice of a role of the policy. @module */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { api } from '../api/page-api.ts';

/** Roles that devices cannot have: they belong to kinds of identities. */
const reservedRoles: ReadonlySet<string> = new Set(['admin', 'broker', 'server', 'service']);

export interface RoleFieldProps {
  readonly value: string;
  readonly change: (role: string) => void;
  /** What the empty choice means. */
  readonly unset: string;
}

/** The roles of the fleet's policy that a device can have. */
export function RoleField({ value, change, unset }: RoleFieldProps): JSX.Element {
  const [roles, setRoles] = useState<readonly string[]>([]);
  useEffect(() => {
    // Without the list only the present role can be chosen.
    deviceRoles().then(setRoles, () => undefined);
  }, []);
  const choices = value === '' || roles.includes(value) ? roles : [...roles, value];
  return (
    <label class="field">
      <span>Role in the policy</span>
      <select value={value} onChange={({ currentTarget }) => change(currentTarget.value)}>
        <option value="">{unset}</option>
        {choices.map((role) => (
          <option key={role} value={role}>
            {role}
          </option>
        ))}
      </select>
    </label>
  );
}

async function deviceRoles(): Promise<string[]> {
  const { text } = await api.getPolicy();
  const { roles } = await api.checkPolicy({ body: { text } });
  return roles.map(({ name }) => name).filter((name) => !reservedRoles.has(name));
}
