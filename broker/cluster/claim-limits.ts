/**
 * How many claims and sessions the memory of one broker has room for.
 *
 * @module
 */

/** At each of these limits, further claims are refused with `claims-too-many`. */
export interface ClaimLimits {
  /** Claims without an answer. */
  readonly openClaimsMax: number;
  /** Client ids whose session is at this broker, or is claimed here. */
  readonly clientIdsMax: number;
  /** Transactions that wait for a statement. Releases and check-ins are added beyond it: one for each granted claim. */
  readonly queuedTransactionsMax: number;
  /** Client ids whose transaction failed a short time ago. The transactions under way are added beyond it. */
  readonly uncertainClientIdsMax: number;
}

export const defaultClaimLimits: ClaimLimits = {
  openClaimsMax: 10_000,
  clientIdsMax: 500_000,
  queuedTransactionsMax: 20_000,
  uncertainClientIdsMax: 10_000,
};
