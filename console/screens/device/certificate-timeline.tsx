/** The certificates of a device over time. @module */
import type { JSX } from 'preact';
import type { ApiDevice } from '../../api/api-types.ts';
import { Badge, Empty, Panel, shortFingerprint, type Tone } from '../../parts/small-parts.tsx';
import { currentMs, TimeText } from '../../parts/time-text.tsx';

type Certificates = ApiDevice['certificates'];
const tones: Readonly<Record<Certificates[number]['status'], Tone>> = {
  active: 'good',
  retired: 'idle',
  expired: 'warn',
  revoked: 'bad',
  withdrawn: 'bad',
};

export function CertificateTimeline({
  certificates,
}: {
  readonly certificates: Certificates;
}): JSX.Element {
  if (certificates.length === 0) {
    return (
      <Panel title="Certificates">
        <Empty title="No certificate yet.">
          <p>The device gets one when it uses a token, or when an operator approves it.</p>
        </Empty>
      </Panel>
    );
  }
  const nowMs = currentMs.value;
  const from = Math.min(...certificates.map(({ notBefore }) => Date.parse(notBefore)), nowMs);
  const to = Math.max(...certificates.map(({ notAfter }) => Date.parse(notAfter)), nowMs);
  const place = (ms: number): number => ((ms - from) / Math.max(1, to - from)) * 100;
  return (
    <Panel title="Certificates" aside={<span class="faint">newest first</span>}>
      <ul class="timeline">
        {[...certificates]
          .reverse()
          .map(({ serial, notBefore, notAfter, status, fingerprint, seenAt }) => {
            const start = place(Date.parse(notBefore));
            const end = place(Date.parse(notAfter));
            return (
              <li key={serial}>
                <p>
                  <Badge tone={tones[status]}>{status}</Badge>{' '}
                  <code title={fingerprint}>{shortFingerprint(fingerprint)}</code>
                </p>
                <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
                  <rect class="track" y="3" width="100" height="2" />
                  <rect
                    class={tones[status]}
                    x={start}
                    width={Math.max(0.8, end - start)}
                    height="8"
                  />
                  {seenAt === undefined ? null : (
                    <rect class="seen" x={place(Date.parse(seenAt))} width="0.5" height="8" />
                  )}
                  <rect class="now" x={Math.min(99.5, place(nowMs))} width="0.5" height="8" />
                </svg>
                <p class="faint">
                  valid since <TimeText at={notBefore} />
                  {seenAt === undefined ? null : (
                    <>
                      , first used <TimeText at={seenAt} />
                    </>
                  )}
                  {', '}
                  {status === 'active' || status === 'expired' ? 'ends ' : 'would have ended '}
                  <TimeText at={notAfter} />
                </p>
                <p class="faint">
                  serial <code>{serial}</code>
                </p>
              </li>
            );
          })}
      </ul>
    </Panel>
  );
}
