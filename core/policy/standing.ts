/**
 * How much an identity is trusted at the moment.
 *
 * @module
 */

/**
 * What an identity may do at most, before the policy decides: `full`; `renewal-only` if its certificate
 * expired less than the grace period ago; `quarantined` if it may only stay connected.
 */
export type Standing = 'full' | 'renewal-only' | 'quarantined';
