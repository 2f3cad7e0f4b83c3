/**
 * Reports the state of a service to systemd (sd_notify(3)): ready, alive, stopping.
 *
 * Node.js has no datagram sockets of the kind that the notify socket is, so each message is sent by the
 * program systemd-notify. It is a process of its own: the unit needs `NotifyAccess=all`.
 *
 * @module
 */
import { execFile } from 'node:child_process';
import type { Clock } from '../../core/clock.ts';
import { systemClock } from '../../core/clock.ts';
import type { Lifecycle } from '../../core/lifecycle.ts';
import type { Logger } from '../../core/log.ts';
import type { ProcessEnvironment } from './command-context.ts';

/** systemd-notify waits until systemd has read the message. */
const messageTimeoutMs = 5000;

/**
 * Reports that the service is ready. From then on it reports each half of the watchdog time that the
 * event loop runs, and when the lifecycle closes, that the service stops. Outside systemd it does nothing.
 *
 * @param status one line for `systemctl status`
 */
export async function reportToServiceManager(
  environment: ProcessEnvironment,
  lifecycle: Lifecycle,
  log: Logger,
  status: string,
  clock: Clock = systemClock,
): Promise<void> {
  const { NOTIFY_SOCKET: socket, PATH: path = '' } = environment.env;
  if (socket === undefined || socket === '') return;
  const env = { NOTIFY_SOCKET: socket, PATH: path };
  let isReported = false;
  const send = (...message: string[]): Promise<void> =>
    new Promise((resolve) => {
      execFile('systemd-notify', message, { env, timeout: messageTimeoutMs }, (error) => {
        // Once: a service without its watchdog message is restarted, which shows in the journal.
        if (error !== null && !isReported) {
          isReported = true;
          log.warn({ err: error }, 'could not send a message to systemd');
        }
        resolve();
      });
    });
  await send('READY=1', `STATUS=${status}`);
  const stopWatchdog = startWatchdog(environment, clock, () => send('WATCHDOG=1'));
  lifecycle.add('service manager', async () => {
    stopWatchdog();
    await send('STOPPING=1', 'STATUS=stopping');
  });
}

/** @returns a function that ends the messages */
function startWatchdog(
  environment: ProcessEnvironment,
  clock: Clock,
  send: () => Promise<void>,
): () => void {
  const limitUs = Number(environment.env['WATCHDOG_USEC']);
  if (!Number.isSafeInteger(limitUs) || limitUs <= 0) return () => undefined;
  // Half of the time, as sd_watchdog_enabled(3) recommends.
  const periodMs = Math.max(100, limitUs / 2000);
  let isStopped = false;
  let cancel = (): void => undefined;
  const schedule = (): void => {
    cancel = clock.after(periodMs, () => {
      void send().then(() => {
        if (!isStopped) schedule();
      });
    });
  };
  schedule();
  return () => {
    isStopped = true;
    cancel();
  };
}
