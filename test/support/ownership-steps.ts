/**
 * Every event that is possible in an {@link OwnershipWorld}, and the world after it.
 *
 * @module
 */
import {
  checkInRow,
  claimRow,
  isSameIncarnation,
  recoverRow,
  releaseRow,
  retryRow,
  type ClaimReply,
} from '../../broker/cluster/ownership-row.ts';
import {
  noOwnership,
  ownershipAfter,
  type OwnershipCommand,
  type OwnershipEvent,
  type Transaction,
} from '../../broker/cluster/session-ownership.ts';
import { checkAlways } from './ownership-rules.ts';
import {
  copyOf,
  countOf,
  incarnationOf,
  journalOf,
  keyOf,
  type OwnershipWorld,
  type Sent,
  type WorldStep,
} from './ownership-world.ts';

/** Everything that may happen next. */
export function possibleSteps(world: OwnershipWorld): WorldStep[] {
  const steps: WorldStep[] = [];
  const { left } = world;
  world.nodes.forEach(({ up, sessions, number }, node) => {
    if (!up) return;
    sessions.forEach((session, client) => {
      if (left.claims > 0) steps.push({ kind: 'claim', node, client });
      if (left.commits > 0 && session.holder !== undefined)
        steps.push({ kind: 'commit', node, client });
      for (const sessionStays of [true, false]) {
        if (left.closes === 0 || session.holder === undefined) continue;
        steps.push({ kind: 'close', node, client, sessionStays });
      }
      if (left.giveUps > 0 && session.claim !== undefined)
        steps.push({ kind: 'give-up', node, client });
    });
    if (left.crashes > 0) steps.push({ kind: 'crash', node });
    if (left.fences > 0 && !(keyOf({ node: String(node), number }) in world.fenced)) {
      steps.push({ kind: 'fence', node });
    }
  });
  world.sent.forEach(({ reply, forgotten }, at) => {
    if (reply === undefined) steps.push({ kind: 'execute', at });
    else steps.push({ kind: 'reply', at });
    if (left.failures > 0 && !forgotten) steps.push({ kind: 'fail', at });
  });
  world.hints.forEach((_, at) => {
    steps.push({ kind: 'hint', at });
    if (left.hintFaults > 0) {
      steps.push({ kind: 'hint', at, fault: 'lost' }, { kind: 'hint', at, fault: 'repeated' });
    }
  });
  for (const [key, recovered] of Object.entries(world.fenced)) {
    if (!recovered) steps.push({ kind: 'recover', key });
  }
  return steps;
}

/** The world after a step. @throws Error when a rule is broken */
export function afterStep(before: OwnershipWorld, step: WorldStep): OwnershipWorld {
  const world = copyOf(before);
  takeStep(world, step);
  checkAlways(world);
  return world;
}

export function takeStep(world: OwnershipWorld, step: WorldStep): void {
  switch (step.kind) {
    case 'claim': {
      world.left.claims--;
      const request = world.requests++;
      world.madeAt.push({ node: step.node, client: step.client });
      world.asked.push(undefined);
      world.answers.push([]);
      world.wills.push(0);
      return applyEvent(world, step.node, step.client, { kind: 'claim', request });
    }
    case 'commit':
      world.left.commits--;
      return commit(world, step.node, step.client);
    case 'close': {
      world.left.closes--;
      const request = world.nodes[step.node]!.sessions[step.client]!.holder!;
      closeConnection(world, step.node, step.client, request);
      const { sessionStays } = step;
      return applyEvent(world, step.node, step.client, { kind: 'closed', request, sessionStays });
    }
    case 'give-up': {
      world.left.giveUps--;
      const { request } = world.nodes[step.node]!.sessions[step.client]!.claim!;
      return applyEvent(world, step.node, step.client, { kind: 'give-up', request });
    }
    case 'execute':
      return execute(world, world.sent[step.at]!);
    case 'reply':
      return deliver(world, world.sent.splice(step.at, 1)[0]!);
    case 'fail': {
      world.left.failures--;
      const failed = world.sent[step.at]!;
      // What was not executed may still be.
      if (failed.reply === undefined) failed.forgotten = true;
      else world.sent.splice(step.at, 1);
      return applyEvent(world, Number(failed.by.node), failed.client, { kind: 'failed' });
    }
    case 'hint': {
      const hint = world.hints[step.at]!;
      if (step.fault !== 'repeated') world.hints.splice(step.at, 1);
      if (step.fault !== undefined) world.left.hintFaults--;
      if (step.fault !== 'lost') applyEvent(world, hint.to, hint.client, hint.event);
      return;
    }
    case 'crash':
      world.left.crashes--;
      return restart(world, step.node);
    case 'fence':
      world.left.fences--;
      world.fenced[keyOf(incarnationOf(world, step.node))] = false;
      return;
    case 'recover':
      return recover(world, step.key);
  }
}

/** The memory of a broker is lost; it starts with a new incarnation. Nothing that it sent is awaited. */
function restart(world: OwnershipWorld, at: number): void {
  const node = world.nodes[at]!;
  const former = incarnationOf(world, at);
  world.sent = world.sent.filter((sent) => {
    if (isSameIncarnation(sent.by, former)) sent.forgotten = true;
    return !sent.forgotten || sent.reply === undefined;
  });
  // Its clients see the end of their connections.
  for (const { claim } of node.sessions) {
    if (claim !== undefined) world.answers[claim.request]!.push('crashed');
  }
  if (!(keyOf(former) in world.fenced)) world.fenced[keyOf(former)] = false;
  world.open = world.open.filter((one) => one.node !== at);
  node.number++;
  node.sessions = node.sessions.map(() => noOwnership);
  node.counts = node.counts.map(() => undefined);
}

function recover(world: OwnershipWorld, key: string): void {
  world.fenced[key] = true;
  const [node = '', number] = key.split('#');
  world.rows.forEach((row, client) => {
    const fenced = { node, number: Number(number) };
    if (!isSameIncarnation(row.owner, fenced)) return;
    const journal = journalOf(world, fenced, client);
    world.stored[client]! += journal.count;
    journal.count = 0;
    if (journal.will !== undefined) world.wills[journal.will]!++;
    journal.will = undefined;
    world.rows[client] = recoverRow(row, fenced);
    hintReleased(world, client);
  });
}

export function applyEvent(
  world: OwnershipWorld,
  at: number,
  client: number,
  event: OwnershipEvent,
): void {
  const node = world.nodes[at]!;
  const { state, commands } = ownershipAfter(node.sessions[client]!, event);
  node.sessions[client] = state;
  if (state.epoch === undefined) node.counts[client] = undefined;
  for (const command of commands) executeCommand(world, at, client, command);
}

function executeCommand(
  world: OwnershipWorld,
  at: number,
  client: number,
  command: OwnershipCommand,
): void {
  switch (command.kind) {
    case 'run': {
      const by = incarnationOf(world, at);
      world.sent.push({ by, client, transaction: command.transaction, forgotten: false });
      return;
    }
    case 'grant':
      world.answers[command.request]!.push('granted');
      world.open.push({ node: at, client, request: command.request });
      journalOf(world, incarnationOf(world, at), client).will = command.request;
      return;
    case 'refuse':
      world.answers[command.request]!.push(command.code);
      return;
    case 'close':
      return closeConnection(world, at, client, command.request);
    case 'hint-transfer': {
      const event = { kind: 'found', epoch: command.epoch, transferRequested: true } as const;
      world.hints.push({ to: Number(command.node), client, event });
      return;
    }
    case 'hint-released':
      return hintReleased(world, client);
  }
}

/** The will is deleted first; only if that can be committed it is published. */
function closeConnection(world: OwnershipWorld, at: number, client: number, request: number): void {
  const by = incarnationOf(world, at);
  const journal = journalOf(world, by, client);
  world.open = world.open.filter((one) => one.request !== request);
  if (!(keyOf(by) in world.fenced) && journal.will === request) {
    journal.will = undefined;
    world.wills[request]!++;
  }
}

function commit(world: OwnershipWorld, at: number, client: number): void {
  const by = incarnationOf(world, at);
  if (keyOf(by) in world.fenced) return learnFenced(world, at);
  const row = world.rows[client]!;
  if (!isSameIncarnation(row.owner, by)) throw new Error('a broker commits what it does not own');
  if (world.nodes[at]!.counts[client] !== countOf(world, client)) {
    throw new Error('the owner does not have the state of the session');
  }
  journalOf(world, by, client).count++;
  world.nodes[at]!.counts[client]++;
  world.acknowledged[client]!++;
}

/** A fenced broker closes everything and begins a new incarnation. */
export function learnFenced(world: OwnershipWorld, at: number): void {
  world.nodes[at]!.sessions.forEach((_, client) =>
    applyEvent(world, at, client, { kind: 'fenced' }),
  );
  restart(world, at);
}

function execute(world: OwnershipWorld, sent: Sent): void {
  const { by, client, transaction } = sent;
  const row = world.rows[client]!;
  if (keyOf(by) in world.fenced) sent.reply = 'fenced';
  else if (transaction.kind === 'check-in') {
    const { row: next, reply } = checkInRow(row, by, transaction.epoch);
    world.rows[client] = next;
    if (reply) {
      const journal = journalOf(world, by, client);
      world.stored[client]! += journal.count;
      journal.count = 0;
    }
    sent.reply = 'written';
  } else if (transaction.kind === 'release') {
    const { epoch, sessionStays } = transaction;
    const { row: next, reply } = releaseRow(row, by, epoch, sessionStays);
    world.rows[client] = next;
    if (reply && !sessionStays) {
      // The session ends, with its messages.
      journalOf(world, by, client).count = 0;
      world.stored[client] = 0;
      world.acknowledged[client] = 0;
    }
    sent.reply = 'written';
  } else {
    const { row: next, reply } =
      transaction.kind === 'claim' ? claimRow(row, by) : retryRow(row, by, transaction.transfer);
    world.rows[client] = next;
    checkOrder(world, sent, transaction, reply);
    sent.reply = { kind: 'claim', reply, count: countOf(world, client) };
  }
  if (sent.forgotten) world.sent.splice(world.sent.indexOf(sent), 1);
}

/** The newest claim that the database got wins. */
function checkOrder(
  world: OwnershipWorld,
  { client, forgotten }: Sent,
  transaction: Transaction & { readonly request: number },
  reply: ClaimReply,
): void {
  const { request } = transaction;
  if (transaction.kind === 'claim') world.asked[request] = ++world.lastAsked;
  const asked = world.asked[request]!;
  if (reply.kind !== 'granted') return;
  const newer = world.nodes.some(({ sessions }) => {
    const claim = sessions[client]!.claim;
    return claim?.transfer !== undefined && (world.asked[claim.request] ?? 0) > asked;
  });
  if (newer) throw new Error('a claim is granted although a newer one waits');
  if (
    world.granted.some((one) => one.asked > asked && world.madeAt[one.request]!.client === client)
  ) {
    throw new Error('a claim is granted after a newer one');
  }
  if (!forgotten) world.granted.push({ asked, request });
}

function deliver(world: OwnershipWorld, { by, client, reply }: Sent): void {
  const at = Number(by.node);
  if (reply === 'fenced') return learnFenced(world, at);
  if (reply === 'written') return applyEvent(world, at, client, { kind: 'written' });
  if (reply === undefined) return;
  const { counts, sessions } = world.nodes[at]!;
  // With a grant, an owner that did not have the session gets its state.
  const isNew = reply.reply.kind === 'granted' && sessions[client]!.epoch === undefined;
  applyEvent(world, at, client, { kind: 'claim-reply', reply: reply.reply });
  if (isNew) counts[client] = reply.count;
}

function hintReleased(world: OwnershipWorld, client: number): void {
  const by = world.rows[client]!.transfer?.by;
  if (by !== undefined)
    world.hints.push({ to: Number(by.node), client, event: { kind: 'ask-again' } });
}
