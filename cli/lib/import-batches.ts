/**
 * Cuts a file of devices into parts that are imported one after the other, so that a file of any size needs little
 * memory, and each call a short time.
 *
 * @module
 */

/** The rows and bytes of one part. The service needs less than a second for them. */
const rowsMax = 5000;
const bytesMax = 4 * 1024 * 1024;
/** A longer record is an error of the file, such as a quote that is never closed. */
const recordMaxBytes = 1024 * 1024;

const quote = 0x22;
const comma = 0x2c;
const lineFeed = 0x0a;

export interface ImportPart {
  /** What is sent: with the column names, if the file is CSV. */
  readonly body: Buffer;
  /** Add it to a line number of the body to get the one of the file. */
  readonly lineOffset: number;
  /** How many bytes of the file have been read. */
  readonly bytesRead: number;
}

/** The end of a record, and how many lines it has. */
interface RecordCut {
  readonly bytes: Buffer;
  readonly lines: number;
}

/**
 * The parts of a file.
 *
 * @throws RangeError when a record is longer than 1 MiB
 */
export async function* importParts(
  chunks: AsyncIterable<Buffer>,
  isCsv: boolean,
  partRowsMax = rowsMax,
): AsyncGenerator<ImportPart> {
  let head: RecordCut | undefined;
  let records: Buffer[] = [];
  let bytes = 0;
  let line = 0;
  let firstLine = 0;
  let bytesRead = 0;
  const part = (): ImportPart => {
    const body = Buffer.concat(head === undefined ? records : [head.bytes, ...records]);
    const lineOffset = firstLine - (head?.lines ?? 0);
    records = [];
    bytes = 0;
    return { body, lineOffset, bytesRead };
  };
  for await (const record of recordsOf(chunks, isCsv)) {
    line += record.lines;
    bytesRead += record.bytes.length;
    if (isCsv && head === undefined) {
      head = withLineEnd(record);
      continue;
    }
    if (records.length === 0) firstLine = line - record.lines;
    records.push(record.bytes);
    bytes += record.bytes.length;
    if (records.length >= partRowsMax || bytes >= bytesMax) yield part();
  }
  // A file without rows is sent as well: the service checks the column names.
  if (records.length > 0 || line <= (head?.lines ?? 0)) yield part();
}

function withLineEnd({ bytes, lines }: RecordCut): RecordCut {
  if (bytes.at(-1) === lineFeed) return { bytes, lines };
  return { bytes: Buffer.concat([bytes, Buffer.from('\n')]), lines: lines + 1 };
}

/** Where in a record of CSV a byte is; the rules are those of the service (RFC 4180). */
type Place = 'start' | 'field' | 'quoted' | 'quote in quotes';

async function* recordsOf(
  chunks: AsyncIterable<Buffer>,
  isCsv: boolean,
): AsyncGenerator<RecordCut> {
  let rest: Buffer[] = [];
  let restBytes = 0;
  let place: Place = 'start';
  let lines = 0;
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] ?? 0;
      if (byte === lineFeed) lines++;
      if (isCsv) place = placeAfter(place, byte);
      if (byte !== lineFeed || place === 'quoted') continue;
      yield { bytes: Buffer.concat([...rest, chunk.subarray(from, at + 1)]), lines };
      rest = [];
      restBytes = 0;
      lines = 0;
      place = 'start';
      from = at + 1;
    }
    rest.push(chunk.subarray(from));
    restBytes += chunk.length - from;
    if (restBytes > recordMaxBytes) throw new RangeError('a record is longer than 1 MiB');
  }
  if (restBytes > 0) yield { bytes: Buffer.concat(rest), lines };
}

function placeAfter(place: Place, byte: number): Place {
  if (place === 'quoted') return byte === quote ? 'quote in quotes' : 'quoted';
  if (byte === quote && place !== 'field') return 'quoted';
  return byte === comma ? 'start' : 'field';
}
