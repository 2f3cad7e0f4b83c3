/**
 * The name of a shared subscription, one group and one filter, and the number that stands for it in the messages
 * between partitions: they have it as their Subscription Identifier.
 *
 * @module
 */
import { partitionOf } from '../../../core/partition.ts';
import type { SharedTarget } from '../../routing/topic-route.ts';

/** The largest Subscription Identifier. */
export const identifierMax = 268_435_455;

/** The name, as clients subscribe to it. */
export function sharedName(group: string, filter: string): string {
  return `$share/${group}/${filter}`;
}

/** The number of a name. With two names of one number in a fleet, a message that matches both would reach both. */
export function sharedIdentifier(name: string): number {
  return partitionOf(name, identifierMax) + 1;
}

export function identifierOf<S>({ group, filter }: SharedTarget<S>): number {
  return sharedIdentifier(sharedName(group, filter));
}
