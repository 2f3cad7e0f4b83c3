/**
 * The devices of a fleet. Every device of a plan has a number, counted from 0 through all groups; its
 * id, its group and its worker follow from it.
 *
 * @module
 */
import { isDeviceId, type DeviceId } from '../../core/device-id.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type { GroupSpec } from '../plan/fleet-schema.ts';
import type { Plan } from '../plan/plan-schema.ts';

/** The device that publishes a message. */
export interface Author {
  readonly device: string;
  readonly group: string;
  /** Its number within the group, from 1. */
  readonly number: number;
}

export interface Roster {
  readonly size: number;
  groupOf(number: number): GroupSpec;
  idOf(number: number): DeviceId;
  authorOf(number: number): Author;
  /** Undefined for an id that is not in this fleet. */
  numberOf(id: string): number | undefined;
  /** The numbers of some groups (default: of all). */
  numbersOf(groups?: readonly string[]): number[];
}

/**
 * The roster of a plan.
 *
 * @throws FlotillaError `plan-invalid` when an id is invalid or used twice
 */
export function rosterOf(plan: Plan, seed: string): Roster {
  const firsts: number[] = [];
  let size = 0;
  for (const { count } of plan.fleet) {
    firsts.push(size);
    size += count;
  }
  const at = (number: number): { group: GroupSpec; index: number } => {
    let which = firsts.length - 1;
    while (which > 0 && number < (firsts[which] ?? 0)) which--;
    const group = plan.fleet[which];
    if (group === undefined || number < 0 || number >= size) {
      throw new RangeError(`there is no device number ${number}`);
    }
    return { group, index: number - (firsts[which] ?? 0) };
  };
  const idOf = (number: number): DeviceId => {
    const { group, index } = at(number);
    const id = group.id
      .replaceAll('{group}', group.group)
      .replaceAll('{seed}', seed)
      .replaceAll(
        '{n}',
        (index + 1).toString().padStart(Math.max(4, group.count.toString().length), '0'),
      );
    if (isDeviceId(id)) return id;
    throw new FlotillaError('plan-invalid', {
      detail: `fleet: ${JSON.stringify(id)} is not a valid device id`,
    });
  };
  const numbers = new Map<string, number>();
  for (let number = 0; number < size; number++) {
    const id = idOf(number);
    if (numbers.has(id)) {
      throw new FlotillaError('plan-invalid', { detail: `fleet: the id ${id} is used twice` });
    }
    numbers.set(id, number);
  }
  return {
    size,
    idOf,
    groupOf: (number) => at(number).group,
    authorOf: (number) => {
      const { group, index } = at(number);
      return { device: idOf(number), group: group.group, number: index + 1 };
    },
    numberOf: (id) => numbers.get(id),
    numbersOf: (groups) => {
      const result: number[] = [];
      for (const [index, { group, count }] of plan.fleet.entries()) {
        if (groups !== undefined && !groups.includes(group)) continue;
        const first = firsts[index] ?? 0;
        for (let number = first; number < first + count; number++) result.push(number);
      }
      return result;
    },
  };
}

/** Replaces `{device}`, `{group}`, `{n}`, and `%c %u %i` of other tools, in a topic. */
export function topicFor(template: string, author: Author): string {
  if (!/[{%]/.test(template)) return template;
  return template
    .replaceAll('{device}', author.device)
    .replaceAll('{group}', author.group)
    .replaceAll('{n}', author.number.toString())
    .replaceAll(/%[cu]/g, author.device)
    .replaceAll('%i', author.number.toString());
}

/** The filter that matches a topic template for every device. */
export function filterFor(template: string): string {
  return template
    .split('/')
    .map((level) => (/\{(?:device|group|n)\}|%[cui]/.test(level) ? '+' : level))
    .join('/');
}
