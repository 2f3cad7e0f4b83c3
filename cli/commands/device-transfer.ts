/** `flotilla device import|export|edit`: imports, exports and edits devices. @module */
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import type { z } from 'zod';
import { amountText } from '../../core/amount-text.ts';
import { importedSchema } from '../../core/protocol/enrollment-api.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { withoutControls } from '../../core/escape.ts';
import { openHttps } from '../../core/protocol/https-client.ts';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import { deviceId, stateCommand, urlOption, type CommandAction } from '../lib/command-context.ts';
import { importParts, type ImportPart } from '../lib/import-batches.ts';
import type { Runner } from '../lib/runner.ts';

type Imported = z.infer<typeof importedSchema>;

/** How often the progress of a long import is shown, in ms. */
const progressEveryMs = 2000;
/** How many rejected rows are listed. */
const refusedMax = 1000;

interface ExportOptions extends AdminOptions {
  readonly out?: string;
}

interface EditOptions extends AdminOptions {
  readonly group?: string | false;
  readonly role?: string | false;
  readonly attribute: readonly string[];
  readonly dropAttribute: readonly string[];
}

export function transferCommands(runner: Runner): Command[] {
  return [
    stateCommand('import', 'register many devices and their tokens from a CSV or JSON lines file')
      .argument('<file>', 'CSV file (*.csv), or JSON lines')
      .option(...urlOption)
      .action(runner.runWith(importDevices)),
    stateCommand('export', 'export every identity, one JSON document per line')
      .option('--out <file>', 'output file (default: stdout)')
      .option(...urlOption)
      .action(runner.run(exportDevices)),
    stateCommand(
      'edit',
      'change the group, role and attributes of a device, with immediate effect on its connections',
    )
      .argument('<id>', 'the device', deviceId)
      .option('--group <name>', 'move the device into this group')
      .option('--no-group', 'remove the device from its group')
      .option('--role <name>', 'give the device this role of the policy')
      .option('--no-role', 'give the device its usual role again: device')
      .option('--attribute <name=value...>', 'attributes to set', [] as string[])
      .option('--drop-attribute <name...>', 'attributes to remove', [] as string[])
      .option(...urlOption)
      .action(runner.runWith(edit)),
  ];
}

const importDevices = async (
  file: string,
  ...[options, context]: Parameters<CommandAction<AdminOptions>>
): Promise<number> => {
  const { out } = context;
  const client = await adminClient(options, context);
  const { size } = await stat(file).catch((error: unknown) => {
    throw new FlotillaError('input-unreadable', { detail: file, cause: error });
  });
  const isCsv = file.endsWith('.csv');
  const headers = { 'content-type': isCsv ? 'text/csv' : 'application/x-ndjson' };
  const done: Imported = { created: 0, updated: 0, tokens: 0, refused: [] };
  let saidAtMs = Date.now();
  for await (const { body, lineOffset, bytesRead } of partsOf(file, isCsv)) {
    const answer = await client.raw('POST', '/v1/devices/import', body, headers);
    const part = importedSchema.parse(JSON.parse(answer.toString('utf8')));
    done.created += part.created;
    done.updated += part.updated;
    done.tokens += part.tokens;
    for (const { line, reason } of part.refused) {
      if (done.refused.length < refusedMax) done.refused.push({ line: line + lineOffset, reason });
    }
    if (Date.now() - saidAtMs < progressEveryMs) continue;
    saidAtMs = Date.now();
    const percent = Math.floor((bytesRead / size) * 100);
    out.warn(`${percent} % of the file, ${done.created + done.updated} devices`);
  }
  out.result(
    done,
    [
      ...done.refused.map(({ line, reason }) => `line ${line}: ${reason}`),
      `${done.created} created, ${done.updated} updated, ${amountText(done.tokens, 'token')}, ${done.refused.length} refused`,
    ].join('\n'),
  );
  return done.refused.length === 0 ? 0 : 1;
};

/** @throws FlotillaError `input-unreadable` */
async function* partsOf(file: string, isCsv: boolean): AsyncGenerator<ImportPart> {
  try {
    yield* importParts(createReadStream(file), isCsv);
  } catch (error) {
    if (error instanceof FlotillaError) throw error;
    throw new FlotillaError('input-unreadable', { detail: file, cause: error });
  }
}

const exportDevices: CommandAction<ExportOptions> = async (options, context) => {
  const client = await adminClient(options, context);
  const { ca, cert, key } = client;
  const url = new URL('/v1/devices/export', client.url).href;
  const response = await openHttps({ method: 'GET', url, ca, cert, key });
  if (response.statusCode !== 200) {
    response.destroy();
    throw new FlotillaError('service-answer-invalid', {
      detail: `status ${response.statusCode ?? 0}`,
    });
  }
  if (options.out === undefined) {
    await pipeline(response, escapedLines, context.out.streams.stdout, { end: false });
    return 0;
  }
  // Attributes can be confidential: only the owner may read the file.
  await pipeline(response, createWriteStream(options.out, { mode: 0o600 }));
  let devices = 0;
  for await (const chunk of createReadStream(options.out) as AsyncIterable<Buffer>) {
    for (const byte of chunk) if (byte === 0x0a) devices++;
  }
  context.out.result(
    { file: options.out, devices },
    `exported ${amountText(devices, 'identity', 'identities')} to ${options.out}`,
  );
  return 0;
};

/** Lines of JSON for a terminal: the escapes mean the same characters. */
async function* escapedLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const chunk of chunks) yield withoutControls(decoder.decode(chunk, { stream: true }));
  yield withoutControls(decoder.decode());
}

const edit = async (
  id: DeviceId,
  ...[options, context]: Parameters<CommandAction<EditOptions>>
): Promise<number> => {
  const attributes: Record<string, string | null> = {};
  for (const pair of options.attribute) {
    const at = pair.indexOf('=');
    if (at < 1) throw new FlotillaError('usage', { detail: '--attribute needs name=value' });
    attributes[pair.slice(0, at)] = pair.slice(at + 1);
  }
  for (const name of options.dropAttribute) attributes[name] = null;
  const group = typeof options.group === 'boolean' ? null : options.group;
  const role = typeof options.role === 'boolean' ? null : options.role;
  const client = await adminClient(options, context);
  const device = await client.api.editDevice({
    id,
    body: {
      ...(group === undefined ? {} : { group }),
      ...(role === undefined ? {} : { role }),
      ...(Object.keys(attributes).length === 0 ? {} : { attributes }),
    },
  });
  context.out.result(
    device,
    `${device.id}: role ${device.role}, group ${device.group ?? '-'}, attributes ${JSON.stringify(device.attributes)}`,
  );
  return 0;
};
