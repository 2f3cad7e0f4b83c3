/** The rule that would allow what the policy denied. @module */

export interface DeniedAction {
  /** `publish`, `subscribe` or `receive`. */
  readonly action: string;
  readonly topic: string;
}

const actions: readonly string[] = ['publish', 'subscribe', 'receive'];

/**
 * A rule for policy.yaml, for the role of the device. Levels of the topic that are the id of the device
 * become `{device}`, so that the rule allows each device its own topic and no other.
 *
 * @returns undefined when no rule can allow it: system topics, other actions
 */
export function ruleFor(device: string, { action, topic }: DeniedAction): string | undefined {
  if (!actions.includes(action) || topic === '' || topic.startsWith('$')) return undefined;
  const levels = topic.split('/').map((level) => (level === device ? '{device}' : level));
  const template = levels.join('/');
  // Braces that came with the topic would be read as a placeholder.
  if (topic.includes('{') || topic.includes('}')) return undefined;
  const quoted = template.replaceAll("'", "''");
  return [`- name: allow ${action}`, `  allow: [${action}]`, `  topics: ['${quoted}']`].join('\n');
}

/** Whether the rule opens the topic to all devices of the role, because the topic names no device. */
export function isShared(device: string, topic: string): boolean {
  return !topic.split('/').includes(device);
}
