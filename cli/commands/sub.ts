/** `flotilla sub`: prints messages as they arrive. @module */
import type { Command } from 'commander';
import { visible } from '../../core/escape.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { addConnectionOptions, qosOption } from '../lib/connection-options.ts';
import { describeJson, stateCommand, wholeNumber, type Context } from '../lib/command-context.ts';
import type { ConnectionOptions } from '../lib/mqtt-connection.ts';
import type { Runner } from '../lib/runner.ts';

interface SubOptions extends ConnectionOptions {
  readonly qos: '0' | '1' | '2';
  readonly count?: number;
}

/** A longer payload is cut on the screen. JSON has it whole. */
const shownMaxChars = 4096;

export function subCommand(runner: Runner): Command {
  return addConnectionOptions(
    describeJson(
      stateCommand('sub', 'print messages as they arrive'),
      'print one JSON document per message on stdout, each on a line',
    ),
  )
    .argument('<filters...>', 'topic filters, for example devices/#')
    .addOption(qosOption('highest quality of service').default('1'))
    .option('--count <n>', 'stop after so many messages', wholeNumber)
    .action(runner.runWithList(sub));
}

async function sub(
  filters: readonly string[],
  options: SubOptions,
  { out, environment }: Context,
): Promise<number> {
  const { connectionLost, openConnection } = await import('../lib/mqtt-connection.ts');
  const stop = environment.stopAsked();
  const client = await openConnection(options);
  const lost = connectionLost(client);
  let left = options.count ?? Infinity;
  const enough = new Promise<void>((resolve) => {
    client.on('message', (topic, payload, { qos, retain }) => {
      if (left <= 0) return;
      out.result(
        { topic, ...payloadJson(payload), qos, retain },
        `${out.style.color('cyan', visible(topic, 1024))} ${visible(payloadText(payload), shownMaxChars)}`,
      );
      left--;
      if (left <= 0) resolve();
    });
  });
  try {
    // MQTT.js rejects with the reason code of the first filter that was refused.
    const qos = Number(options.qos) as 0 | 1 | 2;
    for (const filter of filters) {
      const subscribed = client.subscribeAsync(filter, { qos }).catch((error: unknown) => {
        throw new FlotillaError('subscribe-refused', { detail: filter, cause: error });
      });
      const outcome = await Promise.race([subscribed, lost]);
      if (outcome instanceof FlotillaError) throw outcome;
      const refused = outcome.find((grant) => grant.qos > 2);
      if (refused !== undefined) throw new FlotillaError('subscribe-refused', { detail: filter });
    }
    out.warn(`subscribed to ${filters.join(' ')}; Ctrl-C stops`);
    const end = await Promise.race([stop, lost, enough]);
    if (end instanceof FlotillaError) throw end;
    return 0;
  } finally {
    await client.endAsync().catch(() => undefined);
  }
}

function payloadText(payload: Buffer): string {
  const { payload: text, encoding } = payloadJson(payload);
  return encoding === 'utf8' ? text : `(${payload.length} bytes) ${payload.toString('hex')}`;
}

/** The payload as text where it is one, else in base64. */
function payloadJson(payload: Buffer): { payload: string; encoding: 'utf8' | 'base64' } {
  const text = payload.toString('utf8');
  return Buffer.from(text).equals(payload)
    ? { payload: text, encoding: 'utf8' }
    : { payload: payload.toString('base64'), encoding: 'base64' };
}
