/**
 * Names of identities can be used again after the identity was deleted. The time of creation distinguishes the
 * identities that had a name.
 *
 * @module
 */

/**
 * Whether a name belongs to another identity now.
 *
 * @param beforeMs when the earlier one was created; undefined: not known, for example because an earlier
 *   version stored it
 */
export function isOtherIdentity(beforeMs: number | undefined, nowMs: number | undefined): boolean {
  return beforeMs !== undefined && nowMs !== undefined && beforeMs !== nowMs;
}
