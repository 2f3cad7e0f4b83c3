/**
 * The verdict of the policy on an action.
 *
 * @module
 */
import type { ErrorCode } from '../errors/catalogue.ts';

/**
 * Allow, or deny with a code from the catalogue. `rule` names the deciding rule for people. A publish
 * that is allowed `always` is allowed with any QoS and RETAIN and with any smaller payload, so the
 * verdict may be cached. Without it, the verdict is for this message only.
 */
export type Verdict =
  | { readonly allowed: true; readonly rule: string; readonly always?: true }
  | { readonly allowed: false; readonly code: ErrorCode; readonly rule: string | undefined };
