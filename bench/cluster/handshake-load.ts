/**
 * Clients connect and disconnect as fast as possible with full TLS handshakes, each at one of several nodes.
 *
 * @module
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Clients } from '../clients.ts';
import { LoadClient, type LoadTarget } from '../load/load-client.ts';
import { cpuMicroseconds } from '../process-usage.ts';

const together = 16;
const warmUpMs = 1000;
const measureMs = 6000;

export interface HandshakePlan {
  readonly clients: Clients;
  /** Each connects to a node of its own choice, in turn. */
  readonly names: readonly string[];
  readonly targets: readonly LoadTarget[];
  readonly pids: readonly number[];
}

export interface HandshakeResult {
  readonly handshakesPerSecond: number;
  /** CPU time of all brokers together, in µs. */
  readonly microsecondsPerHandshake: number;
  /** CPU time of this process, in µs. */
  readonly clientMicrosecondsPerHandshake: number;
}

export async function measureHandshakes(plan: HandshakePlan): Promise<HandshakeResult> {
  const { clients, names, targets, pids } = plan;
  let count = 0;
  let isOver = false;
  const loop = async (first: number): Promise<void> => {
    for (let at = first; !isOver; at += together) {
      const name = names[at % names.length];
      // Another node for each name, and for each time that the name connects.
      const target = targets[(at + Math.floor(at / names.length)) % targets.length];
      if (name === undefined || target === undefined) throw new Error('names are missing');
      const client = new LoadClient({
        ...{ target, context: clients.context(name), clientId: name },
      });
      await client.connected();
      client.destroy();
      count++;
    }
  };
  const loops = Array.from({ length: together }, (_, first) => loop(first));
  const used = (): number => pids.reduce((sum, pid) => sum + cpuMicroseconds(pid), 0);
  await pause(warmUpMs);
  const [startMs, usedBefore, countBefore] = [performance.now(), used(), count];
  const ownBefore = process.cpuUsage();
  await pause(measureMs);
  const done = count - countBefore;
  const own = process.cpuUsage(ownBefore);
  const result = {
    handshakesPerSecond: Math.round((done * 1000) / (performance.now() - startMs)),
    microsecondsPerHandshake: Math.round((used() - usedBefore) / done),
    clientMicrosecondsPerHandshake: Math.round((own.user + own.system) / done),
  };
  isOver = true;
  await Promise.all(loops);
  return result;
}
