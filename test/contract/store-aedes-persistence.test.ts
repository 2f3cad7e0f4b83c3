import assert from 'node:assert';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import test from 'ava';
import { systemClock } from '../../core/clock.ts';
import { retainOutcome } from '../../broker/session/state/publish-outcome.ts';
import { AedesPersistence } from '../../broker/session/aedes/aedes-persistence.ts';
import { openDurableStore } from '../../broker/store/durable-store.ts';
import { openMemoryStore } from '../../broker/store/memory-store.ts';
import type { SessionStore } from '../../broker/store/session-store.ts';
import { wideLimits } from '../support/store-samples.ts';

// The test suite that aedes-persistence publishes for other implementations. It is written for
// node:test; here it runs under ava. Of its tests, those of retained messages apply.

/** The parts of the context of node:test that the suite uses. */
interface SuiteContext {
  plan(count: number): void;
  diagnostic(text: string): void;
  readonly assert: Readonly<Record<string, unknown>>;
}

type Suite = (options: {
  test: (title: string, run: (t: SuiteContext) => Promise<void>) => void;
  persistence: () => Promise<SuitePersistence>;
  buildEmitter: () => unknown;
  testAsync: boolean;
}) => void;

/** Our persistence with what only the suite needs. */
class SuitePersistence extends AedesPersistence {
  readonly #close: () => Promise<void>;

  constructor(store: SessionStore, close: () => Promise<void>) {
    super(store, new Map(), {
      retainOnly: (message) => retainOutcome(store.putRetained(message)),
    });
    this.#close = close;
  }

  /** The suite compares whole packets, with the broker's id that it put into them, and without `dup`. */
  override createRetainedStreamCombi(filters: readonly string[]): Readable {
    return super
      .createRetainedStreamCombi(filters)
      .map((packet: Readonly<Record<string, unknown>>) => {
        const { cmd, topic, payload, qos, retain } = packet;
        return { cmd, id: this.broker?.id, topic, payload, qos, retain };
      });
  }

  destroy(): Promise<void> {
    return this.#close();
  }
}

const require = createRequire(import.meta.url);
const suite = require('aedes-persistence/abstract.js') as Suite;
const clock = systemClock;
const limits = wideLimits;

const kinds: Readonly<Record<string, (folder: string) => Promise<SessionStore>>> = {
  memory: () => Promise.resolve(openMemoryStore({ limits, clock })),
  durable: (folder) => openDurableStore({ path: join(folder, 'store.sqlite'), limits, clock }),
};

let declared = 0;
for (const [kind, open] of Object.entries(kinds)) {
  suite({
    test(title, run) {
      if (!/retained|setup/.test(title)) return;
      declared++;
      // Serial: what the suite opens belongs to the test that runs.
      test.serial(`aedes-persistence on the ${kind} store: ${title}`, async (t) => {
        let planned: number | undefined;
        let made = 0;
        const counted = (check: (...args: unknown[]) => void) => {
          return (...args: unknown[]): void => {
            check(...args);
            made++;
          };
        };
        const checks = Object.entries(assert).filter(([, value]) => typeof value === 'function');
        await run({
          plan: (count) => (planned = count),
          diagnostic: () => undefined,
          assert: Object.fromEntries(
            checks.map(([name, check]) => [name, counted(check as (...args: unknown[]) => void)]),
          ),
        });
        t.is(made, planned ?? -1);
      });
    },
    async persistence() {
      const folder = mkdtempSync(join(tmpdir(), 'flotilla-test-'));
      const store = await open(folder);
      await store.load();
      return new SuitePersistence(store, async () => {
        await store.close();
        rmSync(folder, { recursive: true });
      });
    },
    buildEmitter: () => ({ emit() {}, on() {}, removeListener() {} }),
    testAsync: true,
  });
}

test('the tests of aedes-persistence for retained messages are still there', (t) => {
  t.is(declared, 28);
});
