/** Lines of the audit log. @module */
import type { JSX } from 'preact';
import type { ApiAuditLine } from '../api/api-types.ts';
import { devicePath, PageLink } from './page-link.tsx';
import { Empty } from './small-parts.tsx';
import { TimeText } from './time-text.tsx';

export function AuditTable({
  lines,
  isAbsolute = false,
}: {
  readonly lines: readonly ApiAuditLine[];
  readonly isAbsolute?: boolean;
}): JSX.Element {
  if (lines.length === 0) return <Empty title="No lines." />;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Lines of the audit log">
      <table class="audit">
        <thead>
          <tr>
            <th>Time</th>
            <th>Action</th>
            <th>By</th>
            <th>Device</th>
            <th>Details</th>
          </tr>
        </thead>
        <tbody>
          {lines.map((line) => (
            <tr key={line.seq}>
              <td class="nowrap">
                <TimeText at={line.at} isAbsolute={isAbsolute} />
              </td>
              <td class="nowrap">{line.action}</td>
              <td>{line.actor}</td>
              <td>
                {line.device === undefined ? null : (
                  <PageLink to={devicePath(line.device)}>{line.device}</PageLink>
                )}
              </td>
              <td class="details">{detailText(line.detail, line.remoteAddress)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const longHex = /^(?:sha256:)?[0-9a-f]{20,}$/;
const isoTime = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/;
const timeFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'short', timeStyle: 'medium' });

/** "reason: keyCompromise, from 10.0.0.7". Times are local, and long serials are shortened. */
export function detailText(
  detail: Readonly<Record<string, unknown>> | undefined,
  remoteAddress?: string,
): string {
  const parts = Object.entries(detail ?? {})
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}: ${valueText(value)}`);
  if (remoteAddress !== undefined) parts.push(`from ${remoteAddress}`);
  return parts.join(', ');
}

function valueText(value: unknown): string {
  const text = String(value);
  if (longHex.test(text)) return `${text.replace('sha256:', '').slice(0, 8)}…${text.slice(-4)}`;
  return isoTime.test(text) ? timeFormat.format(Date.parse(text)) : text;
}
