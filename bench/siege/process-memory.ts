/**
 * The memory of a process of Node.js after garbage collection, read through its inspector.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { residentBytes } from '../process-usage.ts';
import type { Running } from './fleet-services.ts';

/** In MiB, after garbage collection. Resident memory that is in no other number is code, and free memory that malloc keeps. */
export interface ProcessMemory {
  readonly rssMiB: number;
  readonly heapUsedMiB: number;
  readonly heapTotalMiB: number;
  /** Buffers and other memory of the JavaScript objects outside of the heap. */
  readonly externalMiB: number;
}

const answerMaxMs = 60_000;
const collections = 3;

const usageSchema = z.object({
  heapUsed: z.number(),
  heapTotal: z.number(),
  external: z.number(),
});
const messageSchema = z.object({
  id: z.number().optional(),
  result: z.object({ result: z.object({ value: usageSchema }).optional() }).optional(),
});

/**
 * Collects garbage in a process that was started with `--inspect-port=0`, and reads its memory.
 *
 * @throws Error if the inspector does not answer
 */
export async function memoryAfterCollection({ pid, logPath }: Running): Promise<ProcessMemory> {
  process.kill(pid, 'SIGUSR1');
  const inspector = await Inspector.open(await inspectorUrl(logPath));
  try {
    for (let count = 0; count < collections; count++) {
      await inspector.send('HeapProfiler.collectGarbage', {});
      await pause(500);
    }
    const expression = 'process.memoryUsage()';
    const answer = await inspector.send('Runtime.evaluate', { expression, returnByValue: true });
    const usage = usageSchema.parse(answer);
    const mebibytes = (bytes: number): number => Math.round(bytes / 1024 / 1024);
    return {
      rssMiB: mebibytes(residentBytes(pid)),
      heapUsedMiB: mebibytes(usage.heapUsed),
      heapTotalMiB: mebibytes(usage.heapTotal),
      externalMiB: mebibytes(usage.external),
    };
  } finally {
    inspector.close();
  }
}

/** The process writes the address of its inspector to stderr. */
async function inspectorUrl(logPath: string): Promise<string> {
  const untilMs = performance.now() + answerMaxMs;
  while (performance.now() < untilMs) {
    const found = /Debugger listening on (ws:\S+)/.exec(readFileSync(logPath, 'utf8'))?.[1];
    if (found !== undefined) return found;
    await pause(100);
  }
  throw new Error(`no inspector: ${logPath}`);
}

class Inspector {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (value: unknown) => void>();
  #lastId = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => {
      const { id, result } = messageSchema.parse(JSON.parse(String(data)));
      if (id === undefined) return;
      this.#waiting.get(id)?.(result?.result?.value);
      this.#waiting.delete(id);
    });
  }

  static async open(url: string): Promise<Inspector> {
    const socket = new WebSocket(url);
    await new Promise<void>((done, failed) => {
      socket.addEventListener('open', () => done());
      socket.addEventListener('error', () => failed(new Error(`cannot connect to ${url}`)));
    });
    return new Inspector(socket);
  }

  async send(method: string, params: object): Promise<unknown> {
    const id = ++this.#lastId;
    const answer = new Promise<unknown>((done) => this.#waiting.set(id, done));
    this.#socket.send(JSON.stringify({ id, method, params }));
    const late = pause(answerMaxMs, undefined, { ref: false }).then(() => {
      throw new Error(`no answer to ${method}`);
    });
    return Promise.race([answer, late]);
  }

  close(): void {
    this.#socket.close();
  }
}
