/**
 * What must be true of brokers and their database, for tests of who owns a session.
 *
 * @module
 */
import { isSameIncarnation } from '../../broker/cluster/ownership-row.ts';
import { countOf, incarnationOf, keyOf, type OwnershipWorld } from './ownership-world.ts';

/** What must be true at any time. @throws Error */
export function checkAlways(world: OwnershipWorld): void {
  world.rows.forEach((row, client) => {
    const live = world.nodes.filter(
      ({ sessions }, node) =>
        sessions[client]!.holder !== undefined &&
        !(keyOf(incarnationOf(world, node)) in world.fenced),
    );
    if (live.length > 1) throw new Error('two brokers that are not fenced have a live connection');
    const open = world.open.filter(
      (one) => one.client === client && !(keyOf(incarnationOf(world, one.node)) in world.fenced),
    );
    if (open.length > 1) throw new Error('two connections to brokers that are not fenced');
    if (countOf(world, client) !== world.acknowledged[client]) {
      throw new Error('an acknowledged message is lost, or in two places');
    }
    for (const [key, journal] of Object.entries(world.journals)) {
      if (!key.endsWith(`/${client}`) || journal.count === 0) continue;
      const isOwner = row.owner !== undefined && key === `${keyOf(row.owner)}/${client}`;
      if (!isOwner) throw new Error('a broker that is not the owner has committed messages');
    }
  });
  if (world.wills.some((published) => published > 1)) throw new Error('a will was published twice');
  if (world.answers.some(({ length }) => length > 1)) throw new Error('a claim had two answers');
}

export function checkAtRest(world: OwnershipWorld): void {
  for (const answers of world.answers) {
    if (answers.length !== 1) throw new Error('a claim has no answer');
  }
  world.rows.forEach((row, client) => {
    const live = world.nodes.flatMap(({ sessions }, node) =>
      sessions[client]!.holder === undefined ? [] : [{ node, session: sessions[client]! }],
    );
    const open = world.open.filter((one) => one.client === client);
    if (open.length !== live.length) throw new Error('a connection was not closed');
    if (open.some(({ node, request }) => world.nodes[node]!.sessions[client]!.holder !== request)) {
      throw new Error('a connection was not closed');
    }
    const claims = world.madeAt.filter((one) => one.client === client).length;
    if (world.isCalm && claims > 0 && open.length !== 1)
      throw new Error('no connection has the session');
    if (live.length > 1) throw new Error('two connections use a session');
    if (row.connected !== (live.length === 1))
      throw new Error('the row does not say who is connected');
    for (const { node, session } of live) {
      if (session.epoch !== row.epoch) throw new Error('a connection has an old epoch');
      if (!isSameIncarnation(row.owner, incarnationOf(world, node)))
        throw new Error('not the owner');
      if (world.nodes[node]!.counts[client] !== countOf(world, client)) {
        throw new Error('the owner does not have the state of the session');
      }
    }
  });
}
