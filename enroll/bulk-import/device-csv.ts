/**
 * Devices as a table for spreadsheets (RFC 4180). To import devices again, use the export as JSON lines.
 *
 * @module
 */
import type { DeviceAnswer } from '../../core/protocol/enrollment-api.ts';

const columns: readonly (readonly [string, (device: DeviceAnswer) => string | null])[] = [
  ['id', ({ id }) => id],
  ['kind', ({ kind }) => kind ?? null],
  ['role', ({ role }) => role],
  ['status', ({ status }) => status],
  ['group', ({ group }) => group],
  ['connected', ({ connected }) => String(connected)],
  ['lastSeenAt', ({ lastSeenAt }) => lastSeenAt],
  ['createdAt', ({ createdAt }) => createdAt ?? null],
  ['certificateEnds', (device) => newestOf(device)?.notAfter ?? null],
  ['serial', (device) => newestOf(device)?.serial ?? null],
  [
    'attributes',
    ({ attributes }) =>
      Object.entries(attributes)
        .map(([name, value]) => `${name}=${value}`)
        .join('; '),
  ],
];

/** The first line, with the names of the columns. */
export const csvHead = csvLine(columns.map(([name]) => name));

/** The line of a device. */
export function csvRow(device: DeviceAnswer): string {
  return csvLine(columns.map(([, read]) => read(device) ?? ''));
}

function newestOf({
  certificates,
}: DeviceAnswer): DeviceAnswer['certificates'][number] | undefined {
  return certificates.findLast(({ status }) => status === 'active');
}

function csvLine(cells: readonly string[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}

/** A spreadsheet would run a cell that begins like a formula: an apostrophe makes it text. */
function csvCell(text: string): string {
  const plain = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}
