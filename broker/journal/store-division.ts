/**
 * Divides the rows of a file among the partitions of a cluster.
 *
 * @module
 */
import type { DatabaseSync } from 'node:sqlite';
import { TouchedRows } from './touched-rows.ts';

/**
 * All rows of a file, for each partition: those of a session or will are in the partition of its identity, and all
 * partitions have the retained messages.
 *
 * @param indexOf the partition of an identity
 */
export function dividedRows(
  database: DatabaseSync,
  partitions: number,
  indexOf: (identityId: string) => number,
): readonly TouchedRows[] {
  const first = new TouchedRows();
  const parts = [first, ...Array.from({ length: partitions - 1 }, () => new TouchedRows())];
  const part = (index: number): TouchedRows => parts[index] ?? first;
  const sessions = new Map<number, TouchedRows>();
  const ofSession = (id: unknown): TouchedRows => sessions.get(Number(id)) ?? first;
  const each = (sql: string): Iterable<readonly unknown[]> => {
    const statement = database.prepare(sql);
    statement.setReturnArrays(true);
    // Arrays, as it was asked for.
    return statement.iterate() as unknown as Iterable<readonly unknown[]>;
  };
  for (const [id, identity] of each('SELECT id, identity FROM session')) {
    const rows = part(indexOf(String(identity)));
    rows.sessions.add(Number(id));
    sessions.set(Number(id), rows);
  }
  for (const [id, filter] of each('SELECT session, filter FROM subscription')) {
    ofSession(id).addSubscription(Number(id), String(filter));
  }
  for (const [id, packet] of each('SELECT session, packet FROM incoming')) {
    ofSession(id).addIncoming(Number(id), Number(packet));
  }
  for (const [sequence, id, body] of each('SELECT sequence, session, body FROM queue')) {
    const rows = ofSession(id);
    rows.queue.set(Number(sequence), true);
    if (body !== null) rows.bodies.set(Number(body), true);
  }
  for (const [topic] of each('SELECT topic FROM retained')) {
    for (const rows of parts) rows.retained.add(String(topic));
  }
  for (const [client, identity] of each('SELECT client, identity FROM will')) {
    part(indexOf(String(identity))).wills.add(String(client));
  }
  return parts;
}
