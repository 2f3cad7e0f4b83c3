/**
 * Encodes the records of sessions, subscriptions and wills into a batch; batch-format.ts has the formats.
 *
 * @module
 */
import { operation, subscriptionOptions, type BatchWriter } from './batch-format.ts';
import type { SessionRecord, SubscriptionRecord, WillRecord } from './session-store.ts';

/** @param id the row number of the session */
export function encodeSession(batch: BatchWriter, id: number, record: SessionRecord): void {
  batch.u8(operation.putSession);
  batch.u32(id);
  batch.text(record.clientId);
  batch.text(record.identityId);
  batch.u8(record.protocolVersion);
  batch.u32(record.expirySeconds);
  batch.f64(timeNumber(record.disconnectedAtMs));
  batch.f64(timeNumber(record.identityCreatedAtMs));
}

/** @param id the row number of the session */
export function encodeSubscription(
  batch: BatchWriter,
  id: number,
  record: SubscriptionRecord,
): void {
  batch.u8(operation.putSubscription);
  batch.u32(id);
  batch.text(record.filter);
  batch.u8(subscriptionOptions(record));
  batch.u32(record.identifier ?? 0);
}

export function encodeWill(batch: BatchWriter, record: WillRecord): void {
  batch.u8(operation.putWill);
  batch.text(record.clientId);
  batch.text(record.identityId);
  batch.u32(record.delaySeconds);
  batch.f64(timeNumber(record.dueAtMs));
  batch.f64(timeNumber(record.identityCreatedAtMs));
  batch.text(record.fingerprint ?? '');
  batch.message(record.message);
}

function timeNumber(ms: number | undefined): number {
  return ms === undefined ? Number.NaN : Math.round(ms);
}
