/** `flotilla pub`: publishes one message with the identity of a folder. @module */
import { buffer } from 'node:stream/consumers';
import type { Command } from 'commander';
import { FlotillaError, messageOf } from '../../core/errors/flotilla-error.ts';
import { addConnectionOptions, qosOption } from '../lib/connection-options.ts';
import { stateCommand, type Context } from '../lib/command-context.ts';
import type { ConnectionOptions } from '../lib/mqtt-connection.ts';
import type { Runner } from '../lib/runner.ts';

interface PubOptions extends ConnectionOptions {
  readonly qos: '0' | '1' | '2';
  readonly retain?: boolean;
}

export function pubCommand(runner: Runner): Command {
  return addConnectionOptions(stateCommand('pub', 'publish one message as a device or service'))
    .argument('<topic>', 'the topic')
    .argument('[message]', 'the message (default: read from stdin)')
    .addOption(qosOption('quality of service').default('1'))
    .option('--retain', 'the broker keeps it for later subscribers')
    .action(runner.runWithTwo(pub));
}

async function pub(
  topic: string,
  message: string | undefined,
  options: PubOptions,
  { out }: Context,
): Promise<number> {
  const { openConnection } = await import('../lib/mqtt-connection.ts');
  const payload = message === undefined ? await buffer(process.stdin) : Buffer.from(message);
  const client = await openConnection(options);
  // Errors after the CONNACK are reported by the publish below.
  client.on('error', () => undefined);
  const qos = Number(options.qos) as 0 | 1 | 2;
  const closed = new Promise<never>((_resolve, reject) => {
    client.once('close', () => reject(new Error('the broker closed the connection')));
  });
  closed.catch(() => undefined);
  try {
    await Promise.race([
      client.publishAsync(topic, payload, { qos, retain: options.retain ?? false }),
      closed,
    ]);
  } catch (error) {
    throw new FlotillaError('publish-refused', {
      detail: `${topic}: ${messageOf(error)}`,
      cause: error,
    });
  } finally {
    await client.endAsync().catch(() => undefined);
  }
  const result = { topic, bytes: payload.length, qos, retain: options.retain ?? false };
  out.result(
    result,
    `published ${payload.length} bytes to ${topic}${qos > 0 ? ', acknowledged' : ''}`,
  );
  return 0;
}
