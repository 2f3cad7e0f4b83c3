/** The part of a device that people edit, and how it is compared. @module */
import type { ApiDevice } from '../../api/api-types.ts';

export interface DeviceEdit {
  readonly group: string;
  /** Empty: the role of all devices. */
  readonly role: string;
  /** One `name=value` in each line. */
  readonly attributes: string;
}

export type EditField = keyof DeviceEdit;

export const editFields: readonly EditField[] = ['group', 'role', 'attributes'];

export function editOf(device: ApiDevice): DeviceEdit {
  return {
    group: device.group ?? '',
    role: device.role === device.kind ? '' : device.role,
    attributes: Object.entries(device.attributes)
      .map(([name, value]) => `${name}=${value}`)
      .sort()
      .join('\n'),
  };
}

/** The fields that are different. */
export function changedFields(one: DeviceEdit, other: DeviceEdit): EditField[] {
  return editFields.filter((field) => one[field] !== other[field]);
}

/** The first line that is not `name=value`; undefined: all are. */
export function wrongLine(attributes: string): string | undefined {
  return attributes.split('\n').find((line) => line.trim() !== '' && !/^[^=]+=/.test(line));
}

/** What to send: attributes that are no longer there become null, which removes them. */
export function attributeChanges(
  before: ApiDevice['attributes'],
  attributes: string,
): Record<string, string | null> {
  const changes: Record<string, string | null> = {};
  for (const name of Object.keys(before)) changes[name] = null;
  for (const line of attributes.split('\n')) {
    const at = line.indexOf('=');
    if (at > 0) changes[line.slice(0, at).trim()] = line.slice(at + 1).trim();
  }
  return changes;
}
