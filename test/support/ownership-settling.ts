/**
 * Brokers that continue until nothing changes any more, for tests of who owns a session.
 *
 * @module
 */
import { checkAlways, checkAtRest } from './ownership-rules.ts';
import { applyEvent, learnFenced, takeStep } from './ownership-steps.ts';
import { copyOf, incarnationOf, keyOf, type OwnershipWorld } from './ownership-world.ts';

/**
 * Lets everything come to rest: transactions and hints arrive, brokers read their rows and ask again, and fenced
 * incarnations are recovered.
 *
 * @throws Error when a rule is broken, or the world does not come to rest
 */
export function settle(before: OwnershipWorld): OwnershipWorld {
  const world = copyOf(before);
  for (let round = 0; round < 200; round++) {
    let moved = false;
    for (const sent of [...world.sent]) {
      if (!world.sent.includes(sent)) continue;
      moved = true;
      if (sent.reply === undefined)
        takeStep(world, { kind: 'execute', at: world.sent.indexOf(sent) });
      const at = world.sent.indexOf(sent);
      if (at >= 0) takeStep(world, { kind: 'reply', at });
      checkAlways(world);
    }
    while (world.hints.length > 0) {
      moved = true;
      takeStep(world, { kind: 'hint', at: 0 });
      checkAlways(world);
    }
    for (const [key, recovered] of Object.entries(world.fenced)) {
      const at = world.nodes.findIndex((_, node) => keyOf(incarnationOf(world, node)) === key);
      if (at >= 0) learnFenced(world, at);
      moved ||= at >= 0;
      if (recovered) continue;
      moved = true;
      takeStep(world, { kind: 'recover', key });
      checkAlways(world);
    }
    if (!moved) moved = look(world);
    if (!moved) {
      checkAtRest(world);
      return world;
    }
  }
  throw new Error('the world does not come to rest');
}

/** Every broker reads the rows that it owns, and claims that wait ask again. */
function look(world: OwnershipWorld): boolean {
  let moved = false;
  world.rows.forEach(({ owner, transfer, epoch, connected }, client) => {
    if (owner !== undefined) {
      const session = world.nodes[Number(owner.node)]!.sessions[client]!;
      moved ||= transfer !== undefined || session.epoch !== epoch;
      moved ||= connected !== (session.holder !== undefined);
      const event = { kind: 'found', epoch, transferRequested: transfer !== undefined } as const;
      if (moved) applyEvent(world, Number(owner.node), client, event);
    }
    world.nodes.forEach(({ sessions }, at) => {
      if (sessions[client]!.claim === undefined) return;
      applyEvent(world, at, client, { kind: 'ask-again' });
      moved = true;
    });
  });
  return moved;
}
