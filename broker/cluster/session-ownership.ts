/**
 * What one broker does about the session of one client id, as a pure state machine: it gets events and returns
 * commands. At most one transaction of a client id is under way. The row that the transactions change is in
 * `ownership-row.ts`.
 *
 * @module
 */
import type { ClaimReply } from './ownership-row.ts';

/** The claim of a CONNECT that has no answer yet. */
interface OpenClaim {
  /** The number of the request at this broker. */
  readonly request: number;
  /** Set when the claim waits for the owner. */
  readonly transfer: number | undefined;
}

/** The session at this broker. */
export interface SessionOwnership {
  /** The epoch under which this broker owns the session; undefined: it is not here. */
  readonly epoch: number | undefined;
  /** The request whose connection uses the session. */
  readonly holder: number | undefined;
  readonly claim: OpenClaim | undefined;
  /** Whether another broker requests the session: it is written to the database as soon as nothing is under way. */
  readonly mustCheckIn: boolean;
  /** The transaction that is under way. */
  readonly busy: Transaction | undefined;
  /** An epoch whose connection is closed, which the database does not know yet. */
  readonly unreleased: Unreleased | undefined;
}

interface Unreleased {
  readonly epoch: number;
  /** Whether this broker keeps the session. */
  readonly sessionStays: boolean;
}

export type Transaction =
  | { readonly kind: 'claim'; readonly request: number }
  | { readonly kind: 'retry'; readonly request: number; readonly transfer: number }
  | { readonly kind: 'check-in'; readonly epoch: number }
  | ({ readonly kind: 'release' } & Unreleased);

export type OwnershipEvent =
  /** A CONNECT claims the client id. */
  | { readonly kind: 'claim'; readonly request: number }
  /** The time limit of a claim is reached, or its connection is gone. */
  | { readonly kind: 'give-up'; readonly request: number }
  /** The connection of a granted claim is closed. */
  | { readonly kind: 'closed'; readonly request: number; readonly sessionStays: boolean }
  /**
   * The row names this broker as the owner under this epoch. `transferRequested`: another broker requests a transfer. Comes as a hint of
   * that broker, and when this one reads its rows: regularly, and after a transaction that failed.
   */
  | { readonly kind: 'found'; readonly epoch: number; readonly transferRequested: boolean }
  /** A hint, or a timer: the owner may have checked in. */
  | { readonly kind: 'ask-again' }
  /** The reply to the transaction that is under way. */
  | { readonly kind: 'claim-reply'; readonly reply: ClaimReply }
  | { readonly kind: 'written' }
  /** The transaction failed. It may have been committed, or may still be. */
  | { readonly kind: 'failed' }
  /** This incarnation is fenced: another broker has, or will have, everything. */
  | { readonly kind: 'fenced' };

export type OwnershipCommand =
  | { readonly kind: 'run'; readonly transaction: Transaction }
  | {
      readonly kind: 'grant';
      readonly request: number;
      readonly epoch: number;
      readonly takesOver: boolean;
    }
  | {
      readonly kind: 'refuse';
      readonly request: number;
      readonly code: 'session-taken-over' | 'session-unavailable';
    }
  /** Close the connection that uses the session: its will follows the rules of a takeover. */
  | { readonly kind: 'close'; readonly request: number }
  /** A hint to the owner. */
  | { readonly kind: 'hint-transfer'; readonly node: string; readonly epoch: number }
  /** A hint to the broker that waits. */
  | { readonly kind: 'hint-released' };

export const noOwnership: SessionOwnership = {
  epoch: undefined,
  holder: undefined,
  claim: undefined,
  mustCheckIn: false,
  busy: undefined,
  unreleased: undefined,
};

interface Step {
  readonly state: SessionOwnership;
  readonly commands: readonly OwnershipCommand[];
}

/** The next state, and what to do. */
export function ownershipAfter(before: SessionOwnership, event: OwnershipEvent): Step {
  const commands: OwnershipCommand[] = [];
  const state = afterEvent(before, event, commands);
  return { state: startNext(state, commands), commands };
}

function afterEvent(
  state: SessionOwnership,
  event: OwnershipEvent,
  commands: OwnershipCommand[],
): SessionOwnership {
  switch (event.kind) {
    case 'claim':
      refuse(state.claim, 'session-taken-over', commands);
      return { ...state, claim: { request: event.request, transfer: undefined } };
    case 'give-up':
      if (state.claim?.request !== event.request) return state;
      refuse(state.claim, 'session-unavailable', commands);
      return { ...state, claim: undefined };
    case 'closed':
      if (state.holder !== event.request) return state;
      return afterClosed(state, event.sessionStays);
    case 'found':
      return afterFound(state, event, commands);
    case 'ask-again':
      return state.claim?.transfer === undefined || state.busy !== undefined
        ? state
        : retry(state, commands);
    case 'claim-reply':
      return afterReply({ ...state, busy: undefined }, state.busy, event.reply, commands);
    case 'written':
      return afterWritten({ ...state, busy: undefined }, state.busy, commands);
    case 'failed':
      return afterFailure({ ...state, busy: undefined }, state.busy, commands);
    case 'fenced':
      refuse(state.claim, 'session-unavailable', commands);
      if (state.holder !== undefined) commands.push({ kind: 'close', request: state.holder });
      return noOwnership;
  }
}

/** Starts the next transaction when none is under way. What was closed here is written before anything else. */
function startNext(state: SessionOwnership, commands: OwnershipCommand[]): SessionOwnership {
  if (state.busy !== undefined) return state;
  const { claim, epoch, mustCheckIn, unreleased } = state;
  if (mustCheckIn && epoch !== undefined) return run(state, { kind: 'check-in', epoch }, commands);
  if (unreleased !== undefined) return run(state, { kind: 'release', ...unreleased }, commands);
  if (claim !== undefined && claim.transfer === undefined) {
    return run(state, { kind: 'claim', request: claim.request }, commands);
  }
  return state;
}

function run(
  state: SessionOwnership,
  transaction: Transaction,
  commands: OwnershipCommand[],
): SessionOwnership {
  commands.push({ kind: 'run', transaction });
  return { ...state, busy: transaction };
}

function retry(state: SessionOwnership, commands: OwnershipCommand[]): SessionOwnership {
  const { claim } = state;
  if (claim?.transfer === undefined) return state;
  return run(state, { kind: 'retry', request: claim.request, transfer: claim.transfer }, commands);
}

function afterClosed(state: SessionOwnership, sessionStays: boolean): SessionOwnership {
  const { epoch } = state;
  const unreleased = epoch === undefined ? undefined : { epoch, sessionStays };
  return { ...state, holder: undefined, unreleased };
}

function afterFound(
  state: SessionOwnership,
  { epoch, transferRequested }: OwnershipEvent & { readonly kind: 'found' },
  commands: OwnershipCommand[],
): SessionOwnership {
  // The reply to a transaction may change what is known here. Whatever was found will be found again.
  if (state.busy !== undefined) return state;
  // A claim was granted whose reply was lost. Nothing is here, and the state is still in the database.
  if (state.epoch === undefined) return { ...state, epoch, mustCheckIn: true };
  if (epoch < state.epoch) return state;
  const isUnknown = epoch > state.epoch;
  if (!isUnknown && !transferRequested) {
    return state.holder === undefined ? afterClosed(state, true) : state;
  }
  // A granted claim ends every earlier connection, also if its reply was lost.
  if (state.holder !== undefined) commands.push({ kind: 'close', request: state.holder });
  if (!transferRequested) return afterClosed({ ...state, epoch }, true);
  return { ...state, epoch, holder: undefined, mustCheckIn: true, unreleased: undefined };
}

function afterReply(
  state: SessionOwnership,
  asked: Transaction | undefined,
  reply: ClaimReply,
  commands: OwnershipCommand[],
): SessionOwnership {
  if (asked?.kind !== 'claim' && asked?.kind !== 'retry') return state;
  const { claim, holder } = state;
  const isCurrent = claim?.request === asked.request;
  if (reply.kind === 'granted') {
    const { epoch, takesOver } = reply;
    // A granted claim ends every earlier connection.
    if (holder !== undefined) commands.push({ kind: 'close', request: holder });
    const owned = { ...state, epoch, holder: undefined, mustCheckIn: false };
    if (!isCurrent) return afterClosed(owned, true);
    commands.push({ kind: 'grant', request: claim.request, epoch, takesOver });
    return { ...owned, holder: claim.request, claim: undefined, unreleased: undefined };
  }
  if (!isCurrent) return state;
  if (reply.kind === 'replaced') {
    refuse(claim, 'session-taken-over', commands);
    return { ...state, claim: undefined };
  }
  const { transfer, owner, epoch } = reply;
  commands.push({ kind: 'hint-transfer', node: owner.node, epoch });
  return { ...state, claim: { ...claim, transfer } };
}

function afterWritten(
  state: SessionOwnership,
  written: Transaction | undefined,
  commands: OwnershipCommand[],
): SessionOwnership {
  if (written?.kind === 'check-in') {
    commands.push({ kind: 'hint-released' });
    return { ...state, epoch: undefined, mustCheckIn: false, unreleased: undefined };
  }
  if (written?.kind !== 'release' || state.unreleased?.epoch !== written.epoch) return state;
  const released = { ...state, unreleased: undefined };
  if (written.sessionStays) return released;
  commands.push({ kind: 'hint-released' });
  return { ...released, epoch: undefined };
}

function afterFailure(
  state: SessionOwnership,
  failed: Transaction | undefined,
  commands: OwnershipCommand[],
): SessionOwnership {
  // A check-in or a release is repeated; its epoch makes that harmless.
  if (failed?.kind !== 'claim' && failed?.kind !== 'retry') return state;
  if (state.claim?.request !== failed.request) return state;
  refuse(state.claim, 'session-unavailable', commands);
  return { ...state, claim: undefined };
}

function refuse(
  claim: OpenClaim | undefined,
  code: 'session-taken-over' | 'session-unavailable',
  commands: OwnershipCommand[],
): void {
  if (claim !== undefined) commands.push({ kind: 'refuse', request: claim.request, code });
}
