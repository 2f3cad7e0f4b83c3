/**
 * A few brokers and their database as one value, for tests of who owns a session: every order of events can be tried,
 * with lost, late and repeated hints, failed transactions that commit later, crashes, and fencing of live brokers.
 *
 * @module
 */
import {
  newRow,
  type ClaimReply,
  type Incarnation,
  type OwnershipRow,
} from '../../broker/cluster/ownership-row.ts';
import {
  noOwnership,
  type OwnershipEvent,
  type SessionOwnership,
  type Transaction,
} from '../../broker/cluster/session-ownership.ts';

/** A transaction on its way. `reply` is set when it was executed. */
export interface Sent {
  readonly by: Incarnation;
  readonly client: number;
  readonly transaction: Transaction;
  reply?:
    | { readonly kind: 'claim'; readonly reply: ClaimReply; readonly count: number }
    | 'written'
    | 'fenced';
  /** The broker does not wait for it any more: its connection to the database was lost. */
  forgotten: boolean;
}

interface Node {
  number: number;
  up: boolean;
  /** By client. */
  sessions: SessionOwnership[];
  /** What the broker has in its memory: how many messages of each client are committed. */
  counts: (number | undefined)[];
}

interface Hint {
  readonly to: number;
  readonly client: number;
  readonly event: OwnershipEvent;
}

/** What was committed by an incarnation and not checked in. */
interface Journal {
  count: number;
  /** The request whose connection has a will that was not published. */
  will: number | undefined;
}

export interface OwnershipWorld {
  rows: OwnershipRow[];
  /** The committed messages of each client in the database, without the journals. */
  stored: number[];
  journals: Record<string, Journal>;
  /** `node#number` of the fenced incarnations; true when recovered. */
  fenced: Record<string, boolean>;
  nodes: Node[];
  sent: Sent[];
  hints: Hint[];
  requests: number;
  /** Where each request was made. */
  madeAt: { readonly node: number; readonly client: number }[];
  /** The order in which the database got the claims; those that were granted may only grow in it. */
  asked: (number | undefined)[];
  granted: { asked: number; request: number }[];
  lastAsked: number;
  /** The open connections of granted claims. */
  open: { readonly node: number; readonly client: number; readonly request: number }[];
  /** Whether nothing can fail: then the newest claim has the session in the end. */
  readonly isCalm: boolean;
  /** The answers to each request: one, in the end. */
  answers: string[][];
  /** How often the will of each request was published. */
  wills: number[];
  acknowledged: number[];
  left: Budget;
}

/** How many of these events may still happen. */
export interface Budget {
  claims: number;
  commits: number;
  failures: number;
  crashes: number;
  fences: number;
  hintFaults: number;
  giveUps: number;
  closes: number;
}

export type WorldStep =
  | { readonly kind: 'claim'; readonly node: number; readonly client: number }
  | { readonly kind: 'commit'; readonly node: number; readonly client: number }
  | {
      readonly kind: 'close';
      readonly node: number;
      readonly client: number;
      readonly sessionStays: boolean;
    }
  | { readonly kind: 'give-up'; readonly node: number; readonly client: number }
  | { readonly kind: 'execute'; readonly at: number }
  | { readonly kind: 'reply'; readonly at: number }
  | { readonly kind: 'fail'; readonly at: number }
  | { readonly kind: 'hint'; readonly at: number; readonly fault?: 'lost' | 'repeated' }
  | { readonly kind: 'crash'; readonly node: number }
  | { readonly kind: 'fence'; readonly node: number }
  | { readonly kind: 'recover'; readonly key: string };

export function ownershipWorld(nodes: number, clients: number, left: Budget): OwnershipWorld {
  const each = <T>(count: number, value: () => T): T[] => Array.from({ length: count }, value);
  return {
    rows: each(clients, () => newRow),
    stored: each(clients, () => 0),
    journals: {},
    fenced: {},
    nodes: each(nodes, () => ({
      number: 1,
      up: true,
      sessions: each(clients, () => noOwnership),
      counts: each(clients, () => undefined),
    })),
    sent: [],
    hints: [],
    requests: 0,
    madeAt: [],
    asked: [],
    granted: [],
    lastAsked: 0,
    open: [],
    isCalm: left.failures + left.crashes + left.fences + left.giveUps + left.closes === 0,
    answers: [],
    wills: [],
    acknowledged: each(clients, () => 0),
    left: { ...left },
  };
}

export function incarnationOf(world: OwnershipWorld, node: number): Incarnation {
  return { node: String(node), number: world.nodes[node]!.number };
}

export function keyOf({ node, number }: Incarnation): string {
  return `${node}#${number}`;
}

export function journalOf(world: OwnershipWorld, by: Incarnation, client: number): Journal {
  return (world.journals[`${keyOf(by)}/${client}`] ??= { count: 0, will: undefined });
}

/** The committed messages of a client: in the database, and in the journal of the owner. */
export function countOf(world: OwnershipWorld, client: number): number {
  const { owner } = world.rows[client]!;
  const own = owner === undefined ? 0 : journalOf(world, owner, client).count;
  return world.stored[client]! + own;
}

export function copyOf(world: OwnershipWorld): OwnershipWorld {
  return {
    ...world,
    rows: [...world.rows],
    stored: [...world.stored],
    journals: Object.fromEntries(
      Object.entries(world.journals).map(([key, journal]) => [key, { ...journal }]),
    ),
    fenced: { ...world.fenced },
    nodes: world.nodes.map((node) => ({
      ...node,
      sessions: [...node.sessions],
      counts: [...node.counts],
    })),
    sent: world.sent.map((sent) => ({ ...sent })),
    hints: [...world.hints],
    asked: [...world.asked],
    granted: [...world.granted],
    open: [...world.open],
    madeAt: [...world.madeAt],
    answers: world.answers.map((answers) => [...answers]),
    wills: [...world.wills],
    acknowledged: [...world.acknowledged],
    left: { ...world.left },
  };
}
