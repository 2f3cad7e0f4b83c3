/** The list of devices that a factory may enroll, as a file that an operator or a manufacturer wrote. @module */
import { createReadStream } from 'node:fs';
import { serialNumberForm } from '../../certs/serial-number.ts';
import { isDeviceId } from '../../core/device-id.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';

/** How many entries the enrollment service accepts for one factory. */
const entriesMax = 200_000;
/** The longest entries, each with a line break of Windows and a comment line of the same length. */
const fileMaxBytes = entriesMax * 272;
/** RFC 5280, 4.1.2.2: certificates with a longer serial number are not read. */
const serialMaxOctets = 20;
/** The beginning of a wrong line that an error shows. */
const shownMaxChars = 60;

export interface AllowList {
  /** Each entry once: serial numbers in the form that they are compared in, and device ids. */
  readonly entries: readonly string[];
  /** How many of them are device ids. */
  readonly names: number;
  /** How many lines repeat an earlier entry. */
  readonly repeatedLines: number;
}

/**
 * Reads the file: one serial number per line, in each form that `openssl` prints, or a device id. An id without a digit,
 * and one that could be a serial number, needs `name=` in front of it. Blank lines, and lines that begin with `#`, are
 * skipped.
 *
 * @throws FlotillaError `input-unreadable`, `allow-list-binary`, `allow-list-invalid`, `allow-list-too-long`
 */
export async function readAllowList(path: string): Promise<AllowList> {
  const bytes = await readBytes(path);
  return parseAllowList(textOf(bytes, path), path);
}

function parseAllowList(text: string, path: string): AllowList {
  const entries = new Set<string>();
  let repeatedLines = 0;
  for (const [at, line] of text.split('\n').entries()) {
    const content = line.trim();
    if (content === '' || content.startsWith('#')) continue;
    const entry = entryOf(content);
    if (entry === undefined) {
      const shown = content.slice(0, shownMaxChars) + (content.length > shownMaxChars ? '…' : '');
      throw new FlotillaError('allow-list-invalid', {
        detail: `${path}, line ${at + 1}: ${shown}`,
      });
    }
    if (entries.has(entry)) repeatedLines += 1;
    entries.add(entry);
  }
  if (entries.size > entriesMax) throw tooLong(path);
  const names = [...entries].filter((entry) => serialNumberForm(entry) === undefined).length;
  return { entries: [...entries], names, repeatedLines };
}

function entryOf(line: string): string | undefined {
  const name = /^name=(.*)$/i.exec(line)?.[1]?.trim();
  if (name !== undefined) return isDeviceId(name) ? name : undefined;
  const serial = serialNumberForm(line);
  if (serial !== undefined) return serial.length > 2 * serialMaxOctets ? undefined : serial;
  return isBareName(line) ? line : undefined;
}

/** Without a digit, a line is more likely a word that does not belong here than a device id. */
function isBareName(line: string): boolean {
  return isDeviceId(line) && /\d/.test(line) && /[^\da-f:]/i.test(line);
}

async function readBytes(path: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let total = 0;
  try {
    // By chunks: a device or a pipe has no size, and may have no end.
    // Without an encoding, the chunks are buffers. The type does not express that.
    for await (const bytes of createReadStream(path) as AsyncIterable<Buffer>) {
      total += bytes.length;
      if (total > fileMaxBytes) throw tooLong(path);
      chunks.push(bytes);
    }
    return Buffer.concat(chunks);
  } catch (error) {
    if (error instanceof FlotillaError) throw error;
    throw new FlotillaError('input-unreadable', { detail: path, cause: error });
  }
}

function tooLong(path: string): FlotillaError {
  return new FlotillaError('allow-list-too-long', {
    detail: `${path}: at most ${entriesMax} entries and ${fileMaxBytes} bytes`,
  });
}

/** UTF-16, which some programs of Windows write, and DER contain zero octets; a list contains none. */
function textOf(bytes: Buffer, path: string): string {
  if (!bytes.includes(0)) {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch {
      // Reported below.
    }
  }
  throw new FlotillaError('allow-list-binary', { detail: path });
}
