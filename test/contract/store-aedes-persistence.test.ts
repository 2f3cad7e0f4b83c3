import assert from 'node:assert';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { systemClock } from '../../core/clock.ts';
import { AedesPersistence } from '../../broker/session/aedes/aedes-persistence.ts';
import { openDurableStore } from '../../broker/store/durable-store.ts';
import { openMemoryStore } from '../../broker/store/memory-store.ts';
import type { SessionStore } from '../../broker/store/session-store.ts';
import { wideLimits } from '../support/store-samples.ts';

// aedes-persistence's own suite, as it is shipped, for node:test: here it runs under ava.

/** What the suite uses of node:test's context. */
interface SuiteContext {
  plan(count: number): void;
  diagnostic(text: string): void;
  readonly assert: Readonly<Record<string, unknown>>;
}

type Suite = (options: {
  test: (title: string, run: (t: SuiteContext) => Promise<void>) => void;
  persistence: () => Promise<AedesPersistence>;
  buildEmitter: () => unknown;
  testAsync: boolean;
}) => void;

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
        if (planned !== undefined) t.is(made, planned);
        t.pass();
      });
    },
    async persistence() {
      const folder = mkdtempSync(join(tmpdir(), 'flotilla-test-'));
      const store = await open(folder);
      const persistence = new AedesPersistence(store, await store.load());
      const destroy = persistence.destroy.bind(persistence);
      persistence.destroy = async () => {
        await destroy();
        await store.close();
        rmSync(folder, { recursive: true });
      };
      return persistence;
    },
    buildEmitter: () => ({ emit() {}, on() {}, removeListener() {} }),
    testAsync: true,
  });
}

test('the suite of aedes-persistence is really there', (t) => {
  t.true(declared >= 80);
});
