/**
 * The content of simulated messages after their envelope. Each source depends only on the seed and its
 * own device.
 *
 * @module
 */
import { readFileSync, statSync } from 'node:fs';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import type { PayloadSpec } from '../plan/fleet-schema.ts';
import type { Author } from '../fleet/roster.ts';
import type { Random } from '../plan/seed.ts';

/** Generates the bodies of one stream of one device, in order. */
export interface PayloadSource {
  /** A JSON object or any other text; may be empty. */
  body(seq: number, atMs: number): string;
}

/** The largest replay file, in bytes. */
export const replayMaxBytes = 64 * 1024 * 1024;

/**
 * The source of a stream.
 *
 * @param random called at most once, by kinds that need random numbers
 * @throws FlotillaError `sim-replay-unreadable`
 */
export function payloadSource(
  spec: PayloadSpec,
  author: Author,
  random: () => Random,
): PayloadSource {
  switch (spec.kind) {
    case 'sequence': {
      const text = padding(spec.bytes);
      return { body: () => text };
    }
    case 'walk':
      return new Walk(spec.fields, spec.bytes, random());
    case 'template':
      return new Template(spec.text, author, random());
    case 'replay': {
      const rows = replayRows(spec.file);
      const draw = random();
      let at = draw.below(rows.length);
      return {
        body: () => rows[spec.shuffle ? draw.below(rows.length) : at++ % rows.length] ?? '',
      };
    }
  }
}

/** The rows of a replay file: CSV rows as JSON, other lines unchanged. @throws FlotillaError `sim-replay-unreadable` */
export function replayRows(path: string): readonly string[] {
  const known = files.get(path);
  if (known !== undefined) return known;
  let rows: string[];
  try {
    if (statSync(path).size > replayMaxBytes) throw new Error('larger than 64 MiB');
    const text = readFileSync(path, 'utf8');
    rows = path.endsWith('.csv')
      ? csvRows(text)
      : text.split(/\r?\n/).filter((line) => line !== '');
  } catch (error) {
    throw new FlotillaError('sim-replay-unreadable', {
      detail: `${path}: ${messageOf(error)}`,
      cause: error,
    });
  }
  if (rows.length === 0)
    throw new FlotillaError('sim-replay-unreadable', { detail: `${path}: it has no rows` });
  if (files.size >= 64) files.clear();
  files.set(path, rows);
  return rows;
}

const files = new Map<string, readonly string[]>();

class Walk implements PayloadSource {
  readonly #fields: { name: string; step: number; min: number; max: number; decimals: number }[];
  readonly #values: Float64Array;
  readonly #bytes: number;
  readonly #random: Random;

  constructor(
    fields: Extract<PayloadSpec, { kind: 'walk' }>['fields'],
    bytes: number,
    random: Random,
  ) {
    const entries = Object.entries(fields);
    this.#fields = entries.map(([name, { step, min = -Infinity, max = Infinity, decimals }]) => ({
      name: JSON.stringify(name),
      step,
      min,
      max,
      decimals,
    }));
    this.#values = Float64Array.from(entries, ([, { start }]) => start);
    this.#bytes = bytes;
    this.#random = random;
  }

  body(): string {
    const parts = this.#fields.map(({ name, step, min, max, decimals }, index) => {
      const next = (this.#values[index] ?? 0) + this.#random.gaussian() * step;
      const value = Math.min(max, Math.max(min, next));
      this.#values[index] = value;
      return `${name}:${Number(value.toFixed(decimals))}`;
    });
    return filled(parts.join(','), this.#bytes);
  }
}

/** The body of kind `sequence`: one text for all devices of a process. */
function padding(bytes: number): string {
  let text = paddings.get(bytes);
  if (text === undefined) {
    if (paddings.size >= 64) paddings.clear();
    paddings.set(bytes, (text = filled('', bytes)));
  }
  return text;
}

const paddings = new Map<number, string>();

/** A JSON object with these fields, padded to `bytes` with a field `pad`. */
function filled(inner: string, bytes: number): string {
  const missing = bytes - inner.length - (inner === '' ? 10 : 11);
  if (missing <= 0) return `{${inner}}`;
  return `{${inner}${inner === '' ? '' : ','}"pad":"${'x'.repeat(missing)}"}`;
}

type Part = string | ((seq: number, atMs: number) => string);

class Template implements PayloadSource {
  readonly #parts: readonly Part[];

  constructor(text: string, author: Author, random: Random) {
    this.#parts = text
      .split(/(\{\{[^{}]{1,200}\}\}|%[cui])/)
      .map((piece) => placeholder(piece, author, random));
  }

  body(seq: number, atMs: number): string {
    let text = '';
    for (const part of this.#parts) text += typeof part === 'string' ? part : part(seq, atMs);
    return text;
  }
}

function placeholder(piece: string, author: Author, random: Random): Part {
  if (piece === '%c' || piece === '%u') return author.device;
  if (piece === '%i') return author.number.toString();
  if (!piece.startsWith('{{') || !piece.endsWith('}}')) return piece;
  const inside = piece.slice(2, -2).trim();
  const [name = '', ...args] = inside.split(/\s+/);
  const number = (index: number, defaultValue: number): number => {
    const value = Number(args[index]);
    return args[index] === undefined || !Number.isFinite(value) ? defaultValue : value;
  };
  switch (name) {
    case 'device':
      return author.device;
    case 'group':
      return author.group;
    case 'n':
      return author.number.toString();
    case 'seq':
      return (seq) => seq.toString();
    case 'time':
      return (_seq, atMs) => Math.round(atMs).toString();
    case 'iso':
      return (_seq, atMs) => new Date(atMs).toISOString();
    case 'int': {
      const [low, high] = [number(0, 0), number(1, 100)];
      return () => (low + random.below(high - low + 1)).toString();
    }
    case 'float': {
      const [low, high, decimals] = [number(0, 0), number(1, 1), number(2, 3)];
      return () => (low + random.next() * (high - low)).toFixed(decimals);
    }
    case 'gauss': {
      const [mean, deviation, decimals] = [number(0, 0), number(1, 1), number(2, 3)];
      return () => (mean + random.gaussian() * deviation).toFixed(decimals);
    }
    case 'hex': {
      const digits = Math.min(4096, Math.max(1, number(0, 8)));
      return () => Array.from({ length: digits }, () => random.below(16).toString(16)).join('');
    }
    case 'uuid':
      return () => uuid(random);
    case 'pick':
      return () => args[random.below(args.length)] ?? '';
    default:
      // Unknown placeholders stay unchanged: they may be meant for the receiver.
      return piece;
  }
}

function uuid(random: Random): string {
  const hex = Array.from({ length: 31 }, () => random.below(16).toString(16)).join('');
  const variant = (8 + random.below(4)).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(12, 15)}-${variant}${hex.slice(15, 18)}-${hex.slice(18, 30)}`;
}

/** Rows of CSV (RFC 4180) as JSON objects with the names of the header line. */
function csvRows(text: string): string[] {
  const [header, ...rows] = csvCells(text);
  if (header === undefined) return [];
  return rows
    .filter((row) => row.length > 1 || row[0] !== '')
    .map((row) =>
      JSON.stringify(
        Object.fromEntries(header.map((name, index) => [name, typed(row[index] ?? '')])),
      ),
    );
}

function typed(cell: string): string | number | boolean {
  if (cell === 'true' || cell === 'false') return cell === 'true';
  return /^-?\d{1,15}(?:\.\d{1,15})?$/.test(cell) ? Number(cell) : cell;
}

function csvCells(text: string): string[][] {
  const rows: string[][] = [[]];
  const cell = /("(?:[^"]|"")*"|[^",\r\n]*)(,|\r?\n|$)/gy;
  for (let found = cell.exec(text); found !== null; found = cell.exec(text)) {
    const [, raw = '', end = ''] = found;
    rows.at(-1)?.push(raw.startsWith('"') ? raw.slice(1, -1).replaceAll('""', '"') : raw);
    if (end === '') break;
    if (end !== ',') rows.push([]);
  }
  return rows;
}
