/**
 * The entry point of a worker process. It receives calls and sends replies over the pipe to the
 * controller.
 *
 * @module
 */
import { handleCall } from './answer.ts';
import { Worker } from './worker.ts';
import type { CallMessage, WorkerMessage } from './protocol.ts';

const send = (message: WorkerMessage): void => {
  // When the controller has ended, this process ends too.
  if (process.connected) process.send?.(message);
};

const worker = new Worker((tick) => send({ kind: 'tick', tick }));

process.on('message', (message: CallMessage) => {
  void handleCall(worker, message).then((reply) => {
    send(reply);
    if (message.name === 'close') setTimeout(() => process.exit(0), 50);
  });
});
// Ctrl-C reaches every process of the terminal; the controller decides when the workers stop.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit(1));
