/** Tokens for many devices: the ids that a person typed, and the tokens as a file. @module */
import type { ApiToken } from '../../api/api-types.ts';
import { qrText } from '../../parts/qr-text.ts';

/** @param text ids between spaces, commas, semicolons or line ends; an id that appears twice counts once */
export function deviceIdsIn(text: string): string[] {
  return [...new Set(text.split(/[\s,;]+/).filter((id) => id !== ''))];
}

/**
 * A CSV file (RFC 4180). A token alone is not a cell: it can begin with a minus sign, which a spreadsheet takes
 * for the begin of a formula.
 */
export function tokenFileOf(tokens: readonly ApiToken[]): string {
  const rows = tokens.map((token) => [token.device, token.expiresAt, token.command, qrText(token)]);
  return [['device', 'expires', 'command', 'qr'], ...rows]
    .map((cells) => `${cells.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(',')}\r\n`)
    .join('');
}
