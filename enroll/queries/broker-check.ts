/**
 * The check of one broker for `flotilla status`. Pure.
 *
 * @module
 */
import { amountText } from '../../core/amount-text.ts';
import { samplePeriodMs } from '../../core/protocol/broker-sample.ts';
import type { Status } from '../../core/protocol/enrollment-api.ts';
import type { BrokerAnswer } from '../../core/protocol/operator-api.ts';

/** How long a broker may be silent, in ms: it is reported within 10 s. */
const brokerSilentMs = 2 * samplePeriodMs - 1000;

/**
 * Whether a broker is reachable and has all changes in force. A connection that was cut without a close looks alive for
 * minutes, so a broker that has not reported for almost two periods counts as silent.
 */
export function brokerCheck(broker: BrokerAnswer, nowMs: number): Status['checks'][number] {
  const { sample, lastReportAt, since, changesBehind } = broker;
  const name = `broker ${broker.broker}`;
  if (!broker.connected) return { name, ok: false, detail: 'not connected to the feed' };
  const heardMs = Math.max(
    ...[sample?.at, lastReportAt, since].map((at) => (at ? Date.parse(at) : 0)),
  );
  const silentMs = Math.max(0, nowMs - heardMs);
  // A broker of an earlier version does not report regularly.
  if (sample !== null && silentMs > brokerSilentMs) {
    const seconds = Math.round(silentMs / 1000);
    return {
      name,
      ok: false,
      detail: `has confirmed nothing for ${seconds} s, ${amountText(changesBehind, 'change is', 'changes are')} open`,
    };
  }
  const connections = sample === null ? '' : `${amountText(sample.connections, 'connection')}, `;
  return { name, ok: true, detail: `${connections}${amountText(changesBehind, 'change')} behind` };
}
