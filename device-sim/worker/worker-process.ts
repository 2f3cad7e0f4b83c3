/**
 * The entry of a worker process: words come and go over the pipe to the controller.
 *
 * @module
 */
import { handleCall } from './answer.ts';
import { Worker } from './worker.ts';
import type { CallMessage, WorkerMessage } from './protocol.ts';

const say = (message: WorkerMessage): void => {
  // The controller may be gone; then this process ends too.
  if (process.connected) process.send?.(message);
};

const worker = new Worker((tick) => say({ kind: 'tick', tick }));

process.on('message', (message: CallMessage) => {
  void handleCall(worker, message).then((answer) => {
    say(answer);
    if (message.name === 'close') setTimeout(() => process.exit(0), 50);
  });
});
// Ctrl-C reaches every process of the terminal; the controller decides what it means.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit(1));
