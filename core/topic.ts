/**
 * The grammar of MQTT topics: names, filters, matching, and the containment of filters, which decides
 * whether a policy allows a subscription. Pure functions over strings.
 *
 * @module
 */

export type TopicFault =
  | 'empty'
  | 'too-long'
  | 'too-many-levels'
  | 'nul'
  | 'ill-formed'
  | 'wildcard'
  | 'misplaced-wildcard'
  | 'shared-malformed';

/** The limits of a topic name or filter. */
export interface TopicLimits {
  /** In bytes of UTF-8. */
  readonly maxBytes: number;
  readonly levelsMax: number;
}

/**
 * The limits where no configuration is at hand, as in a policy file. They are also the defaults of
 * `limits.broker.topicMaxBytes` and `topicLevelsMax`.
 */
export const defaultTopicLimits: TopicLimits = { maxBytes: 1024, levelsMax: 32 };

/**
 * Returns the fault of a topic name, or undefined if it is valid.
 *
 * [MQTT-4.7.3-1] at least one character; [MQTT-4.7.3-2] no U+0000; [MQTT-4.7.1-1] no wildcards;
 * [MQTT-1.5.4-1] well-formed UTF-8 (as decoded: no lone surrogate).
 */
export function topicNameFault(
  name: string,
  limits: TopicLimits = defaultTopicLimits,
): TopicFault | undefined {
  const fault = commonFault(name, limits);
  if (fault !== undefined) return fault;
  return /[+#]/.test(name) ? 'wildcard' : undefined;
}

/**
 * Returns the fault of a topic filter, or undefined if it is valid. `$share/{group}/{filter}` is
 * validated by [MQTT-4.8.2-1] and [MQTT-4.8.2-2].
 *
 * [MQTT-4.7.1-1] `#` is alone in the last level; [MQTT-4.7.1-2] `+` fills a whole level.
 */
export function topicFilterFault(
  filter: string,
  limits: TopicLimits = defaultTopicLimits,
): TopicFault | undefined {
  const fault = commonFault(filter, limits);
  if (fault !== undefined) return fault;
  const shared = splitShared(filter);
  if (shared === 'malformed') return 'shared-malformed';
  const levels = (shared?.filter ?? filter).split('/');
  for (const [index, level] of levels.entries()) {
    if (level === '#' ? index !== levels.length - 1 : level !== '+' && /[+#]/.test(level)) {
      return 'misplaced-wildcard';
    }
  }
  return undefined;
}

/** A shared subscription: the name of the group and the filter. */
export interface SharedFilter {
  readonly group: string;
  readonly filter: string;
}

/** Splits `$share/{group}/{filter}`; returns undefined if the filter is not shared. */
export function splitShared(filter: string): SharedFilter | 'malformed' | undefined {
  if (filter !== '$share' && !filter.startsWith('$share/')) return undefined;
  const slash = filter.indexOf('/', 7);
  if (slash <= 7 || slash === filter.length - 1) return 'malformed';
  const group = filter.slice(7, slash);
  if (/[+#]/.test(group)) return 'malformed';
  return { group, filter: filter.slice(slash + 1) };
}

/**
 * The filter that topic names are matched with: of `$share/{group}/{filter}` the last part, any other
 * filter unchanged (a malformed `$share` too).
 */
export function filterWithoutShare(filter: string): string {
  const shared = splitShared(filter);
  return shared === undefined || shared === 'malformed' ? filter : shared.filter;
}

/**
 * Whether a filter matches a topic name.
 *
 * [MQTT-4.7.2-1] a filter that begins with a wildcard never matches a name that begins with `$`.
 */
export function topicMatches(filter: string, name: string): boolean {
  if (name.startsWith('$') && (filter.startsWith('+') || filter.startsWith('#'))) return false;
  // Without arrays of levels: a message to thousands of receivers is compared with the rules of each.
  let at = 0;
  let nameAt = 0;
  while (at <= filter.length) {
    const end = endOfLevel(filter, at);
    const wildcard = end === at + 1 ? filter.charCodeAt(at) : 0;
    if (wildcard === multiLevel) return true;
    if (nameAt > name.length) return false;
    const nameEnd = endOfLevel(name, nameAt);
    if (wildcard !== singleLevel) {
      if (end - at !== nameEnd - nameAt) return false;
      for (let next = at, other = nameAt; next < end; next++, other++) {
        if (filter.charCodeAt(next) !== name.charCodeAt(other)) return false;
      }
    }
    at = end + 1;
    nameAt = nameEnd + 1;
  }
  return nameAt > name.length;
}
const multiLevel = 0x23;
const singleLevel = 0x2b;

/** The end of the level that begins at `at`: the position of its separator, or of the end. */
function endOfLevel(text: string, at: number): number {
  const end = text.indexOf('/', at);
  return end < 0 ? text.length : end;
}

/**
 * Whether `outer` matches every topic name that `inner` matches. The result is exact: true if and only
 * if the names of `inner` are a subset of those of `outer`, including [MQTT-4.7.2-1].
 */
export function filterContains(outer: string, inner: string): boolean {
  if (inner.startsWith('$') && (outer.startsWith('+') || outer.startsWith('#'))) return false;
  const out = outer.split('/');
  const inn = levelsOf(inner);
  for (const [index, level] of out.entries()) {
    if (level === '#') return true;
    const other = inn[index];
    // `a/#` also matches `a` [MQTT-4.7.1.2], which `a/+` and `a/b` do not.
    if (other === undefined || other === '#') return false;
    if (level !== '+' && level !== other) return false;
  }
  return out.length === inn.length;
}

/** Whether both filters match a common topic name. */
export function filtersOverlap(one: string, two: string): boolean {
  const system = (filter: string): boolean => filter.startsWith('$');
  const wild = (filter: string): boolean => filter.startsWith('+') || filter.startsWith('#');
  if ((system(one) && wild(two)) || (system(two) && wild(one))) return false;
  const a = levelsOf(one);
  const b = levelsOf(two);
  const length = Math.max(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const x = a[index];
    const y = b[index];
    if (x === '#' || y === '#') return true;
    if (x === undefined || y === undefined) return false;
    if (x !== '+' && y !== '+' && x !== y) return false;
  }
  return true;
}

/**
 * The levels of a filter. No topic name is empty, so `#` means the same as `+/#`, and `/#` the same as
 * `/+/#`. They are expanded here, because otherwise the parent level that `#` matches would be the
 * empty name.
 */
function levelsOf(filter: string): string[] {
  if (filter === '#') return ['+', '#'];
  if (filter === '/#') return ['', '+', '#'];
  return filter.split('/');
}

function commonFault(text: string, limits: TopicLimits): TopicFault | undefined {
  if (text.length === 0) return 'empty';
  if (text.length > limits.maxBytes || Buffer.byteLength(text) > limits.maxBytes) return 'too-long';
  if (text.includes('\0')) return 'nul';
  if (!text.isWellFormed()) return 'ill-formed';
  let levels = 1;
  for (let at = text.indexOf('/'); at !== -1; at = text.indexOf('/', at + 1)) levels++;
  return levels > limits.levelsMax ? 'too-many-levels' : undefined;
}
