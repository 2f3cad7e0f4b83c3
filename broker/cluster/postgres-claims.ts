/**
 * Claims of brokers that share their sessions in PostgreSQL.
 *
 * `session-ownership.ts` decides what a broker does about one client id, and `claim-transactions.ts` runs its
 * transactions. Notifications between brokers are hints: what they say is also found by regular reading.
 *
 * @module
 */
import type { Cancel, Clock } from '../../core/clock.ts';
import type { DatabaseConnection } from '../../core/database/database-connection.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import type {
  ClaimAnswer,
  ClaimRequest,
  PresenceFacts,
  ReleasedClaim,
  SessionClaim,
  SessionClaims,
} from '../contracts/session-claims.ts';
import { defaultClaimLimits, type ClaimLimits } from './claim-limits.ts';
import {
  ClaimTransactions,
  presenceFacts,
  refusalCode,
  type TransactionReply,
} from './claim-transactions.ts';
import { ClaimedClient, type PendingRelease } from './claimed-client.ts';
import { NodeLease } from './node-lease.ts';
import { OpenClaims, type OpenClaimRequest } from './open-claims.ts';
import { hintChannel, OwnershipHints, parseOwnershipHint } from './ownership-hints.ts';
import type { Incarnation } from './ownership-row.ts';
import {
  ensureOwnershipTables,
  ownedStatement,
  transfersStatement,
  type OwnedRow,
} from './ownership-tables.ts';
import type { OwnershipCommand, OwnershipEvent, Transaction } from './session-ownership.ts';

/** How often rows are read, and the lease is renewed, in ms. */
const readRowsMs = 500;
/** How soon a claim that waits for the owner asks again, in ms. */
const askAgainMs = 50;
/** After a failure, a row is read again for this time, in ms: the statement may still be committed. */
const uncertainMs = 15_000;
/** How many rows with a request for a transfer one statement reads. */
const transferRowsMax = 1000;

export interface PostgresClaimsDeps {
  readonly clock: Clock;
  /** One session of the database, whose statements run one after the other. */
  readonly database: Pick<DatabaseConnection, 'query' | 'listen'>;
  /** The name of this broker. */
  readonly node: string;
  readonly local: Pick<SessionClaims, 'refusalOf'>;
  readonly limits?: ClaimLimits;
  /** Closes the connection that uses a session, with `session-taken-over`. */
  evict(clientId: string): void;
  /** This incarnation is fenced: all connections must be closed. A new one begins. */
  fenced(): void;
  failed(error: unknown, message: string): void;
}

interface GrantedClaim {
  readonly request: number;
  readonly epoch: number;
}

export class PostgresClaims implements SessionClaims {
  readonly isShared = true;
  readonly #deps: PostgresClaimsDeps;
  readonly #limits: ClaimLimits;
  readonly #hints: OwnershipHints;
  readonly #lease: NodeLease;
  readonly #transactions: ClaimTransactions;
  #incarnation: Incarnation;
  readonly #clients = new Map<string, ClaimedClient>();
  readonly #open = new OpenClaims();
  readonly #granted = new WeakMap<SessionClaim, GrantedClaim>();
  /** Client ids whose transaction failed, and until when their rows are read again, in monotonic ms. */
  readonly #uncertain = new Map<string, number>();
  #cancelReading: Cancel | undefined;
  #cancelDeadlines: Cancel | undefined;
  #cancelAskAgain: Cancel | undefined;
  #closed = false;
  #beginning: Promise<void> | undefined;

  private constructor(
    deps: PostgresClaimsDeps,
    hints: OwnershipHints,
    lease: NodeLease,
    incarnation: Incarnation,
  ) {
    this.#deps = deps;
    this.#limits = deps.limits ?? defaultClaimLimits;
    this.#hints = hints;
    this.#lease = lease;
    this.#incarnation = incarnation;
    this.#transactions = new ClaimTransactions({
      database: deps.database,
      incarnation: async () => {
        await this.#beginning;
        return this.#incarnation;
      },
      fenced: () => this.#beginAgain(),
      failed: (error, message) => deps.failed(error, message),
    });
  }

  /**
   * Creates the tables if they are missing, and begins a new incarnation of the node.
   *
   * @throws FlotillaError `database-refused`, `database-version`; and the errors of `DatabaseConnection.query`
   */
  static async join(deps: PostgresClaimsDeps): Promise<PostgresClaims> {
    await ensureOwnershipTables(deps.database);
    const hints = new OwnershipHints(deps.database);
    const lease = new NodeLease({ ...deps, hints });
    const claims = new PostgresClaims(deps, hints, lease, await lease.begin());
    await lease.recover();
    await deps.database.listen(hintChannel(deps.node), (text) => claims.#onHint(text));
    claims.#scheduleReading();
    claims.#scheduleDeadlines();
    return claims;
  }

  refusalOf(request: ClaimRequest): ErrorCode | undefined {
    return this.#deps.local.refusalOf(request) ?? this.#limitReached(request.clientId);
  }

  claim(request: ClaimRequest): ClaimAnswer | Promise<ClaimAnswer> {
    const { clientId, connection } = request;
    if (this.#closed) return { refused: 'session-unavailable' };
    const refused = this.#limitReached(clientId);
    if (refused !== undefined) return { refused };
    return new Promise((answer) => {
      const number = this.#open.add(request, this.#deps.clock.monotonicMs(), answer);
      this.#client(clientId, connection.identity.id);
      this.#apply(clientId, { kind: 'claim', request: number });
    });
  }

  release({ claim, connection, clientId, sessionStays }: ReleasedClaim): Promise<PresenceFacts> {
    const granted = this.#granted.get(claim);
    const client = this.#clients.get(clientId);
    return new Promise((resolve, reject) => {
      const pending = { resolve, reject };
      if (this.#closed) return reject(new FlotillaError('session-unavailable'));
      if (granted !== undefined && client?.holder === granted.request) {
        client.releases.push(pending);
        this.#apply(clientId, { kind: 'closed', request: granted.request, sessionStays });
        return;
      }
      this.#readFacts(clientId, connection.identity.id, granted?.epoch ?? 0, pending);
    });
  }

  /** Open claims are refused with `session-unavailable`, and releases without facts are rejected with that code. */
  close(): void {
    this.#closed = true;
    this.#cancelReading?.();
    this.#cancelDeadlines?.();
    this.#cancelAskAgain?.();
    this.#open.refuseAll();
    this.#transactions.close();
    for (const { releases } of this.#clients.values()) {
      for (const { reject } of releases.splice(0)) reject(new FlotillaError('session-unavailable'));
    }
  }

  #limitReached(clientId: string): ErrorCode | undefined {
    const { openClaimsMax, clientIdsMax, queuedTransactionsMax, uncertainClientIdsMax } =
      this.#limits;
    const hasRoom =
      this.#open.size < openClaimsMax &&
      this.#transactions.queued < queuedTransactionsMax &&
      this.#uncertain.size < uncertainClientIdsMax &&
      (this.#clients.size < clientIdsMax || this.#clients.has(clientId));
    return hasRoom ? undefined : 'claims-too-many';
  }

  /** Reads the facts only: a claim that a newer one has replaced is not written any more. */
  #readFacts(clientId: string, identityId: string, epoch: number, pending: PendingRelease): void {
    if (this.#closed) return pending.reject(new FlotillaError('session-unavailable'));
    this.#transactions.add({
      clientId,
      identityId,
      // An epoch that is not the current one changes nothing.
      transaction: { kind: 'release', epoch, sessionStays: true },
      replied: (reply) => {
        if (reply?.kind === 'written') pending.resolve(presenceFacts(reply, this.#deps.node));
        else this.#readFacts(clientId, identityId, epoch, pending);
      },
    });
  }

  #client(clientId: string, identityId: string): ClaimedClient {
    let client = this.#clients.get(clientId);
    if (client === undefined) {
      client = new ClaimedClient(identityId);
      this.#clients.set(clientId, client);
    }
    return client;
  }

  #apply(clientId: string, event: OwnershipEvent): void {
    const client = this.#clients.get(clientId);
    if (client === undefined || this.#closed) return;
    for (const command of client.apply(event)) this.#execute(clientId, client, command);
    if (client.isIdle) this.#clients.delete(clientId);
  }

  #execute(clientId: string, client: ClaimedClient, command: OwnershipCommand): void {
    switch (command.kind) {
      case 'run':
        return this.#run(clientId, client, command.transaction);
      case 'grant':
        return this.#grant(command.request, command.epoch, command.takesOver);
      case 'refuse':
        return this.#open.answer(command.request, { refused: command.code });
      case 'close':
        return this.#deps.evict(clientId);
      case 'hint-transfer':
        this.#scheduleAskAgain();
        return this.#hints.send(command.node, { client: clientId, epoch: command.epoch });
      case 'hint-released':
        // The reply of the database names the node that waits.
        return;
    }
  }

  #grant(request: number, epoch: number, takesOver: boolean): void {
    const facts = this.#open.get(request)?.facts;
    const claim = { takesOver, previousElsewhere: facts?.previous, version: facts?.version };
    this.#granted.set(claim, { request, epoch });
    this.#open.answer(request, claim);
  }

  #run(clientId: string, client: ClaimedClient, transaction: Transaction): void {
    const isClaim = transaction.kind === 'claim' || transaction.kind === 'retry';
    const open = isClaim ? this.#open.get(transaction.request) : undefined;
    const incarnation = this.#incarnation;
    this.#transactions.add({
      clientId,
      identityId: open?.request.connection.identity.id ?? client.identityId,
      transaction,
      request: open?.request,
      replied: (reply) => {
        // The state of a fenced incarnation is gone, and so is what this reply belongs to.
        if (incarnation === this.#incarnation) this.#onReply(clientId, client, open, reply);
      },
    });
  }

  #onReply(
    clientId: string,
    client: ClaimedClient,
    open: OpenClaimRequest | undefined,
    reply: TransactionReply | undefined,
  ): void {
    if (reply === undefined) {
      this.#uncertain.set(clientId, this.#deps.clock.monotonicMs() + uncertainMs);
      return this.#apply(clientId, { kind: 'failed' });
    }
    if (reply.kind === 'written') {
      const releases = client.releases.splice(0);
      this.#apply(clientId, { kind: 'written' });
      if (reply.transferTo !== null) this.#hints.send(reply.transferTo, { client: clientId });
      for (const { resolve } of releases) resolve(presenceFacts(reply, this.#deps.node));
      return;
    }
    if (reply.kind === 'refused') {
      open?.answer({ refused: refusalCode(reply) });
      // The open request has its answer; for the session it is as if the claim had failed.
      return this.#apply(clientId, { kind: 'failed' });
    }
    if (reply.kind === 'granted' && open !== undefined) {
      open.facts = { version: reply.version ?? 0, previous: reply.previous };
      // The new claim has replaced one whose release was not written yet.
      this.#readFactsOfReleases(clientId, client);
      client.identityId = open.request.connection.identity.id;
    }
    this.#apply(clientId, { kind: 'claim-reply', reply });
  }

  #readFactsOfReleases(clientId: string, client: ClaimedClient): void {
    for (const pending of client.releases.splice(0)) {
      this.#readFacts(clientId, client.identityId, 0, pending);
    }
  }

  /** Closes everything and begins a new incarnation. Nothing is sent meanwhile. If that fails, it is tried again later. */
  #beginAgain(): Promise<void> {
    this.#beginning ??= this.#replaceIncarnation()
      .catch((error: unknown) => this.#deps.failed(error, 'could not begin a new incarnation'))
      .finally(() => (this.#beginning = undefined));
    return this.#beginning;
  }

  async #replaceIncarnation(): Promise<void> {
    this.#deps.fenced();
    this.#incarnation = await this.#lease.begin();
    this.#transactions.fail();
    for (const [clientId, client] of [...this.#clients]) {
      this.#readFactsOfReleases(clientId, client);
      this.#apply(clientId, { kind: 'fenced' });
    }
  }

  #onHint(text: string): void {
    const hint = parseOwnershipHint(text);
    if (hint === undefined) {
      const error = new Error(`a notification of ${text.length} characters is not a hint`);
      return this.#deps.failed(error, 'ignored a notification');
    }
    const { client, epoch } = hint;
    if (epoch === undefined) this.#apply(client, { kind: 'ask-again' });
    else this.#apply(client, { kind: 'found', epoch, transferRequested: true });
  }

  /** A hint can be lost, or come while the owner is busy with that session. */
  #scheduleAskAgain(): void {
    if (this.#closed) return;
    this.#cancelAskAgain ??= this.#deps.clock.after(askAgainMs, () => {
      this.#cancelAskAgain = undefined;
      this.#askAgain();
    });
  }

  #askAgain(): void {
    for (const clientId of this.#open.clientIds()) this.#apply(clientId, { kind: 'ask-again' });
  }

  /** Does not wait for the database, which may not answer. */
  #scheduleDeadlines(): void {
    if (this.#closed) return;
    this.#cancelDeadlines = this.#deps.clock.after(readRowsMs, () => {
      for (const { number, clientId } of this.#open.expired(this.#deps.clock.monotonicMs())) {
        this.#apply(clientId, { kind: 'give-up', request: number });
      }
      this.#scheduleDeadlines();
    });
  }

  #scheduleReading(): void {
    if (this.#closed) return;
    this.#cancelReading = this.#deps.clock.after(readRowsMs, () => {
      void this.#readRows()
        .catch((error: unknown) => {
          this.#lease.databaseFailed();
          this.#deps.failed(error, 'could not read claims');
        })
        .finally(() => this.#scheduleReading());
    });
  }

  async #readRows(): Promise<void> {
    const { node, number } = this.#incarnation;
    if (!(await this.#lease.renew(this.#incarnation))) return this.#beginAgain();
    await this.#readOwnedRows(transfersStatement, [node, number, transferRowsMax]);
    await this.#readUncertainRows();
    await this.#lease.fenceOthers();
    await this.#lease.recover();
    this.#askAgain();
    this.#transactions.resume();
  }

  async #readUncertainRows(): Promise<void> {
    if (this.#uncertain.size === 0) return;
    const nowMs = this.#deps.clock.monotonicMs();
    const { node, number } = this.#incarnation;
    await this.#readOwnedRows(ownedStatement, [node, number, [...this.#uncertain.keys()]]);
    for (const [clientId, untilMs] of this.#uncertain) {
      if (untilMs <= nowMs) this.#uncertain.delete(clientId);
    }
  }

  async #readOwnedRows(statement: string, values: readonly unknown[]): Promise<void> {
    const rows = await this.#deps.database.query<OwnedRow>(statement, values);
    for (const { client, identity, epoch, transferRequested } of rows) {
      // What does not fit is found again later.
      if (this.#clients.size >= this.#limits.clientIdsMax && !this.#clients.has(client)) continue;
      this.#client(client, identity);
      this.#apply(client, { kind: 'found', epoch: Number(epoch), transferRequested });
    }
  }
}
