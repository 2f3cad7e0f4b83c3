import fc from 'fast-check';
import test from 'ava';
import { settle } from '../../../support/ownership-settling.ts';
import { afterStep, possibleSteps } from '../../../support/ownership-steps.ts';
import {
  ownershipWorld,
  type Budget,
  type OwnershipWorld,
  type WorldStep,
} from '../../../support/ownership-world.ts';

const nothing: Budget = {
  ...{ claims: 0, commits: 0, failures: 0, crashes: 0 },
  ...{ fences: 0, hintFaults: 0, giveUps: 0, closes: 0 },
};

interface Found {
  readonly states: number;
  readonly fault: string | undefined;
}

/** Tries every order of everything that can happen, and lets each state that was reached come to rest. */
function explore(start: OwnershipWorld): Found {
  const seen = new Set([JSON.stringify(start)]);
  const open: { readonly world: OwnershipWorld; readonly path: readonly WorldStep[] }[] = [
    { world: start, path: [] },
  ];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { world, path } = next;
    let steps = path;
    try {
      settle(world);
      for (const step of possibleSteps(world)) {
        steps = [...path, step];
        const after = afterStep(world, step);
        const key = JSON.stringify(after);
        if (seen.has(key)) continue;
        seen.add(key);
        open.push({ world: after, path: steps });
      }
    } catch (error) {
      return { states: seen.size, fault: `${String(error)}\n${JSON.stringify(steps)}` };
    }
  }
  return { states: seen.size, fault: undefined };
}

const cases: readonly (readonly [title: string, nodes: number, budget: Partial<Budget>])[] = [
  ['three claims at three brokers', 3, { claims: 3 }],
  [
    'three claims, closed connections and limits of time',
    2,
    { claims: 3, closes: 1, giveUps: 1, commits: 1 },
  ],
  ['lost and repeated hints', 2, { claims: 3, hintFaults: 2, commits: 1 }],
  ['failed transactions that commit later', 2, { claims: 3, failures: 2, commits: 1 }],
  ['a crash', 2, { claims: 2, crashes: 1, commits: 2, hintFaults: 1 }],
  ['a live broker that is fenced', 2, { claims: 2, fences: 1, commits: 2, closes: 1 }],
  ['three brokers, one of them fenced', 3, { claims: 2, fences: 1, commits: 1, giveUps: 1 }],
  [
    'a crash, a fence and a failure',
    2,
    { claims: 2, fences: 1, crashes: 1, failures: 1, commits: 1 },
  ],
];

for (const [title, nodes, budget] of cases) {
  test(`every order of events keeps one owner and all state: ${title}`, (t) => {
    const { states, fault } = explore(ownershipWorld(nodes, 1, { ...nothing, ...budget }));
    t.log(`${states} states`);
    t.is(fault, undefined);
  });
}

test('random histories of four brokers and two clients keep one owner and all state', (t) => {
  const budget: Budget = {
    ...{ claims: 12, commits: 12, failures: 4, crashes: 3 },
    ...{ fences: 3, hintFaults: 6, giveUps: 3, closes: 5 },
  };
  fc.assert(
    fc.property(fc.array(fc.nat(), { minLength: 20, maxLength: 250, size: 'max' }), (choices) => {
      let world = ownershipWorld(4, 2, budget);
      for (const choice of choices) {
        const steps = possibleSteps(world);
        const step = steps[choice % steps.length];
        if (step === undefined) break;
        world = afterStep(world, step);
      }
      settle(world);
    }),
    { numRuns: 1000 },
  );
  t.pass();
});
