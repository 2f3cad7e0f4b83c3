/** `flotilla console`: signs a browser in to the web console. @module */
import type { Command } from 'commander';
import { adminClient, type AdminOptions } from '../lib/admin-client.ts';
import {
  durationMs,
  port,
  stateCommand,
  urlOption,
  type CommandAction,
} from '../lib/command-context.ts';
import { startConsoleProxy } from '../lib/console-proxy.ts';
import type { Runner } from '../lib/runner.ts';

interface ConsoleOptions extends AdminOptions {
  readonly link?: boolean;
  readonly operator?: string;
  readonly port: number;
  readonly ttl: number;
}

export function consoleCommand(runner: Runner): Command {
  return stateCommand('console', 'print a one-time URL that signs a browser in to the web console')
    .option(...urlOption)
    .option('--link', 'a link for a browser on another machine; nothing keeps running here')
    .option(
      '--operator <name>',
      'with --link: sign in as this operator (default: the administrator)',
    )
    .option('--port <n>', 'port on the loopback address; 0 takes any free one', port, 0)
    .option('--ttl <duration>', 'how long the URL can be used', durationMs, 60_000)
    .action(runner.run(openConsole));
}

const openConsole: CommandAction<ConsoleOptions> = async (options, context) => {
  const client = await adminClient(options, context);
  const { out, environment } = context;
  if (options.link === true) {
    const link = await client.api.createSignInLink({
      body: {
        ttlSeconds: Math.max(1, Math.round(options.ttl / 1000)),
        ...(options.operator === undefined ? {} : { operator: options.operator }),
      },
    });
    const { url, expiresAt } = link;
    out.result({ url, expiresAt }, url);
    return 0;
  }
  const { url, ca, cert, key } = client;
  const proxy = await startConsoleProxy({
    url: url.replace(/\/$/, ''),
    ca,
    cert,
    key,
    port: options.port,
    linkTtlMs: options.ttl,
    now: () => Date.now(),
  });
  const stopped = environment.stopAsked();
  out.result({ url: proxy.url, expiresAt: new Date(proxy.expiresAtMs).toISOString() }, proxy.url);
  out.say(
    'Open this URL in a browser on this machine; it can be used once. Ctrl+C ends the console.',
  );
  await stopped;
  await proxy.close();
  return 0;
};
