/**
 * Claims of brokers that share their sessions: one authority in memory, which answers later, when a test lets it.
 *
 * @module
 */
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import type {
  ClaimAnswer,
  ClaimRequest,
  OpenConnection,
  PresenceFacts,
  ReleasedClaim,
  SessionClaim,
  SessionClaims,
} from '../../broker/contracts/session-claims.ts';
import { openConnectionOf } from '../../broker/session/state/open-connection.ts';
import type { MqttSessionLayer } from '../../broker/session/mqtt-session-layer.ts';

interface Owner {
  readonly broker: string;
  readonly identityId: string;
  readonly claim: SessionClaim;
  /** Undefined while the session has no connection. */
  open: OpenConnection | undefined;
}

export class ClaimAuthority {
  readonly owners = new Map<string, Owner>();
  /** Answers that wait, the oldest first; each decides when it is called. */
  readonly held: (() => void)[] = [];
  /** Whether answers wait for the test. Otherwise they come in the next turn of the event loop. */
  holds = false;
  /** Set to let every claim fail. */
  failure: Error | undefined = undefined;
  /** Released claims that had been replaced by a newer one. */
  replaced = 0;
  readonly #layers = new Map<string, () => MqttSessionLayer>();
  readonly #lastOf = new Map<string, OpenConnection>();
  #version = 0;

  /**
   * The claims of one broker.
   *
   * @param layer its session layer, which is created later; not needed for a broker that is alone
   */
  join(broker: string, layer?: () => MqttSessionLayer): (local: SessionClaims) => SessionClaims {
    if (layer !== undefined) this.#layers.set(broker, layer);
    return (local) => ({
      isShared: true,
      refusalOf: (request) => local.refusalOf(request),
      claim: (request) => this.#later(() => this.#decide(broker, request)),
      release: (released) => this.#later(() => this.#release(released)),
    });
  }

  /** Gives all answers that wait. */
  answer(): void {
    for (const give of this.held.splice(0)) give();
  }

  #later<T>(decide: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const give = (): void => {
        if (this.failure === undefined) resolve(decide());
        else reject(this.failure);
      };
      if (this.holds) this.held.push(give);
      else setImmediate(give);
    });
  }

  #decide(broker: string, request: ClaimRequest): ClaimAnswer {
    const { clientId, connection } = request;
    const { identity } = connection;
    const refused = this.#refusalOf(request);
    if (refused !== undefined) return { refused };
    const before = this.owners.get(clientId);
    const last = this.#lastOf.get(identity.id);
    const claim: SessionClaim = {
      takesOver: before?.open !== undefined,
      previousElsewhere: last === undefined || last.broker === broker ? undefined : last,
      version: ++this.#version,
    };
    const open = { ...openConnectionOf(connection), clientId, broker };
    this.owners.set(clientId, { broker, identityId: identity.id, claim, open });
    this.#lastOf.set(identity.id, open);
    if (before?.open !== undefined && before.broker !== broker) {
      const layer = this.#layers.get(before.broker)?.();
      for (const one of layer?.connectionsOf(identity.id) ?? []) {
        if (one.clientId === clientId) one.close('session-taken-over');
      }
    }
    return claim;
  }

  #refusalOf({
    connection,
    clientId,
    isAssigned,
    connectionsMax,
  }: ClaimRequest): ErrorCode | undefined {
    const { id } = connection.identity;
    const owner = this.owners.get(clientId);
    if (isAssigned && owner !== undefined) return 'client-id-missing';
    if (owner?.open !== undefined && owner.identityId !== id) return 'client-id-not-allowed';
    const others = this.#openOf(id).filter((open) => open.clientId !== clientId);
    return others.length >= connectionsMax ? 'device-connections-too-many' : undefined;
  }

  #release({ claim, connection, clientId, sessionStays }: ReleasedClaim): PresenceFacts {
    const owner = this.owners.get(clientId);
    if (owner?.claim !== claim) this.replaced++;
    else if (sessionStays) owner.open = undefined;
    else this.owners.delete(clientId);
    return { other: this.#openOf(connection.identity.id)[0], version: ++this.#version };
  }

  #openOf(identityId: string): OpenConnection[] {
    return [...this.owners.values()]
      .filter((owner) => owner.identityId === identityId)
      .flatMap(({ open }) => open ?? []);
  }
}
