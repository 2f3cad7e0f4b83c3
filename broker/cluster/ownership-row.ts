/**
 * Which broker has the session of one client id: the row in the database that all brokers share, and every change of
 * it as a pure function. Each function is one transaction.
 *
 * Only the owner has the state of the session, and only the owner gives it away: it writes the state to the database
 * and leaves the row without an owner in the same transaction (check in). So no two brokers can have it. Another broker
 * that needs the session requests a transfer in the row, and asks again until the row has no owner. If the owner has failed, its
 * incarnation is fenced, and the broker that recovers it checks in for it. Messages between brokers are only hints to
 * ask again; a lost, late or repeated one has no other effect.
 *
 * @module
 */

/** One run of a broker. What a fenced incarnation writes is refused by the database. */
export interface Incarnation {
  readonly node: string;
  readonly number: number;
}

/** The row of one client id. */
export interface OwnershipRow {
  /** Undefined while the session is at rest in the database, or does not exist. */
  readonly owner: Incarnation | undefined;
  /** Grows with every granted claim. */
  readonly epoch: number;
  /** Whether a connection uses the session. */
  readonly connected: boolean;
  /** The newest claim that waits for the owner. */
  readonly transfer: Transfer | undefined;
  /** The number of the last transfer. */
  readonly lastTransfer: number;
}

export interface Transfer {
  readonly by: Incarnation;
  readonly number: number;
}

/** The reply to {@link claimRow} and {@link retryRow}. */
export type ClaimReply =
  | { readonly kind: 'granted'; readonly epoch: number; readonly takesOver: boolean }
  /** The owner has to check in. `epoch`: of its claim. */
  | {
      readonly kind: 'wait';
      readonly transfer: number;
      readonly owner: Incarnation;
      readonly epoch: number;
    }
  /** A newer claim has replaced the transfer of this one. */
  | { readonly kind: 'replaced' };

export interface RowChange<R> {
  readonly row: OwnershipRow;
  readonly reply: R;
}

export const newRow: OwnershipRow = {
  owner: undefined,
  epoch: 0,
  connected: false,
  transfer: undefined,
  lastTransfer: 0,
};

export function isSameIncarnation(one: Incarnation | undefined, other: Incarnation): boolean {
  return one?.node === other.node && one.number === other.number;
}

/** A new CONNECT claims the client id: granted at once if no other broker owns it, otherwise a transfer is requested. */
export function claimRow(row: OwnershipRow, by: Incarnation): RowChange<ClaimReply> {
  if (row.owner === undefined || isSameIncarnation(row.owner, by)) return granted(row, by);
  const number = row.lastTransfer + 1;
  return {
    row: { ...row, transfer: { by, number }, lastTransfer: number },
    reply: { kind: 'wait', transfer: number, owner: row.owner, epoch: row.epoch },
  };
}

/** A claim that waits asks again. */
export function retryRow(
  row: OwnershipRow,
  by: Incarnation,
  transfer: number,
): RowChange<ClaimReply> {
  if (row.transfer?.number !== transfer) return { row, reply: { kind: 'replaced' } };
  if (row.owner === undefined || isSameIncarnation(row.owner, by)) return granted(row, by);
  return { row, reply: { kind: 'wait', transfer, owner: row.owner, epoch: row.epoch } };
}

function granted(row: OwnershipRow, owner: Incarnation): RowChange<ClaimReply> {
  const epoch = row.epoch + 1;
  return {
    row: { ...row, owner, epoch, connected: true, transfer: undefined },
    reply: { kind: 'granted', epoch, takesOver: row.connected },
  };
}

/**
 * The owner has written the state of the session to the database, in the same transaction.
 *
 * @returns whether it was the owner under this epoch; if not, nothing was written
 */
export function checkInRow(row: OwnershipRow, by: Incarnation, epoch: number): RowChange<boolean> {
  if (!isSameIncarnation(row.owner, by) || row.epoch !== epoch) return { row, reply: false };
  return { row: { ...row, owner: undefined, connected: false }, reply: true };
}

/**
 * The connection of a claim is closed.
 *
 * @param sessionStays whether the session stays at its broker; otherwise it ends
 */
export function releaseRow(
  row: OwnershipRow,
  by: Incarnation,
  epoch: number,
  sessionStays: boolean,
): RowChange<boolean> {
  if (!isSameIncarnation(row.owner, by) || row.epoch !== epoch) return { row, reply: false };
  const owner = sessionStays ? row.owner : undefined;
  return { row: { ...row, owner, connected: false }, reply: true };
}

/** A fenced incarnation is recovered: its state of the session is in the database now. */
export function recoverRow(row: OwnershipRow, fenced: Incarnation): OwnershipRow {
  if (!isSameIncarnation(row.owner, fenced)) return row;
  return { ...row, owner: undefined, connected: false };
}
