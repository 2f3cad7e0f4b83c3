/**
 * Decides whether a TLS connection may become an MQTT connection, and passes it to the session layer.
 *
 * Every refusal after the TLS handshake and before CONNECT is decided here: certificate and directory
 * (admission.ts), flapping, incident holds, and the maximum number of connections.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import type { Identity } from '../contracts/identity.ts';
import type { Connection, SessionLayer } from '../contracts/session-layer.ts';
import type { Wire } from '../contracts/connection-wire.ts';
import type { DirectoryView } from '../feed/broker-directory.ts';
import { admit, review, type Admission, type Refused, type TlsFacts } from './admission.ts';
import type { IncidentHolds } from './incident-holds.ts';
import type { IncidentResponse } from './incident-response.ts';

export interface AdmissionEvents {
  /** A connection was refused. `stage`: the TLS version, or `connect` after a WebSocket upgrade. */
  refused(remoteAddress: string, refusal: Refused, stage: string): void;
}

export interface AdmitterDeps {
  readonly clock: Clock;
  readonly directory: DirectoryView;
  readonly incidents: Pick<IncidentResponse, 'exceedsConnectRate'>;
  readonly holds: IncidentHolds;
  readonly layer: Pick<SessionLayer, 'accept'>;
  /** Ends connections at the end of their lifetime. */
  readonly expiry: {
    watch(connection: Connection): void;
    forget(connection: Connection): void;
  };
  /** Maximum number of admitted connections, over all ports. */
  readonly connectionsMax: number;
  readonly events: AdmissionEvents;
}

export class Admitter {
  readonly #deps: AdmitterDeps;
  #connections = 0;

  constructor(deps: AdmitterDeps) {
    this.#deps = deps;
  }

  /** Open connections that were admitted, including those that have not sent CONNECT. */
  get connections(): number {
    return this.#connections;
  }

  /**
   * Decides about a connection whose TLS handshake is complete. A refused connection is reported, and the
   * caller closes it. For each admitted one the caller must call {@link accept}, {@link acceptUpgraded} or
   * {@link release}.
   *
   * @returns the identity; undefined when the connection was refused
   */
  admit(facts: TlsFacts): Identity | undefined {
    const admission = this.#decide(facts);
    if (admission.admitted) {
      this.#connections++;
      return admission.identity;
    }
    const stage = facts.resumed ? `${facts.tlsVersion} resumed` : facts.tlsVersion;
    this.#deps.events.refused(facts.remoteAddress, admission, stage);
    return undefined;
  }

  /** Passes an admitted connection to the session layer. */
  accept(wire: Wire, identity: Identity): void {
    const { layer, expiry } = this.#deps;
    const connection = layer.accept(wire, identity, () => {
      this.#connections--;
      expiry.forget(connection);
    });
    expiry.watch(connection);
  }

  /**
   * Passes an admitted connection to the session layer after its WebSocket upgrade. The directory may
   * have changed since {@link admit}, so it is checked again.
   */
  acceptUpgraded(wire: Wire, identity: Identity): void {
    const { directory, clock, holds, events } = this.#deps;
    const judgement = holds.apply(identity.id, review(identity, directory, clock.now()));
    if ('code' in judgement) {
      events.refused(identity.remoteAddress, refusal(identity, judgement.code), 'connect');
      this.release();
      wire.destroy();
      return;
    }
    identity.entry = directory.get(identity.id) ?? identity.entry;
    identity.standing = judgement.standing;
    this.accept(wire, identity);
  }

  /**
   * Passes a connection that another node has admitted, and relays, to the session layer. It is judged again, because
   * this node may know more of the identity.
   *
   * @param closed called once, when an accepted connection is closed
   * @returns undefined when it was refused
   */
  acceptRelayed(wire: Wire, identity: Identity, closed: () => void): Connection | undefined {
    const { holds, incidents, events, layer, expiry } = this.#deps;
    const { standing, notAfterMs } = identity;
    const judgement = incidents.exceedsConnectRate(identity)
      ? { code: 'device-flapping' as const }
      : holds.apply(identity.id, { standing, notAfterMs });
    if ('code' in judgement) {
      events.refused(identity.remoteAddress, refusal(identity, judgement.code), 'connect');
      wire.destroy();
      return undefined;
    }
    identity.standing = judgement.standing;
    const connection = layer.accept(wire, identity, () => {
      expiry.forget(connection);
      closed();
    });
    expiry.watch(connection);
    return connection;
  }

  /** An admitted connection closed before it was passed to the session layer. */
  release(): void {
    this.#connections--;
  }

  #decide(facts: TlsFacts): Admission {
    const { directory, clock, incidents, holds, connectionsMax } = this.#deps;
    const admission = admit(facts, directory, clock.now());
    if (!admission.admitted) return admission;
    const { identity } = admission;
    if (incidents.exceedsConnectRate(identity)) return refusal(identity, 'device-flapping');
    const { standing, notAfterMs } = identity;
    const judgement = holds.apply(identity.id, { standing, notAfterMs });
    if ('code' in judgement) return refusal(identity, judgement.code);
    identity.standing = judgement.standing;
    if (this.#connections >= connectionsMax) return refusal(identity, 'connections-too-many');
    return admission;
  }
}

function refusal({ id, serial }: Identity, code: ErrorCode): Refused {
  return { admitted: false, code, detail: '', id, serial };
}
