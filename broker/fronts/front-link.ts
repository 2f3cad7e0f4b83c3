/**
 * The core's side of one front: handles its frames, and sends frames to it.
 *
 * @module
 */
import type { TlsFacts } from '../admission/admission.ts';
import type { Identity } from '../contracts/identity.ts';
import type { EntranceDeps } from '../listeners/entrance.ts';
import type { HandshakeTicket } from '../listeners/handshake-quota.ts';
import {
  handshakeFailure,
  securedFacts,
  upgradeFailure,
  type SecuredFacts,
} from './front-facts.ts';
import { drainMaxBytes, fromFront, ringToFrontBytes, toFront } from './front-frames.ts';
import { FrontWire, type WireLink } from './front-wire.ts';
import type { RingReceiver, RingSender } from './shared-ring.ts';

/** A connection that was not refused. */
interface Guest {
  /** The identity, while its WebSocket upgrade is not complete. */
  identity: Identity | undefined;
  wire: FrontWire | undefined;
}

/** A frame that waits for room: at most a few for each connection. */
interface WaitingFrame {
  readonly kind: number;
  readonly id: number;
  readonly text: string;
}

export interface LinkDeps extends Pick<EntranceDeps, 'events' | 'upgradeEvents'> {
  readonly admitter: Pick<
    EntranceDeps['admitter'],
    'admit' | 'accept' | 'acceptUpgraded' | 'release'
  >;
  readonly quota: Pick<EntranceDeps['quota'], 'offer' | 'admitted'>;
  /** Whether a CA certificate with this fingerprint is in force. A front may not know yet that one is not. */
  isAuthority(fingerprint: string): boolean;
}

export class FrontLink implements WireLink {
  readonly sender: RingSender;
  readonly #receiver: RingReceiver;
  readonly #deps: LinkDeps;
  readonly #guests: (Guest | undefined)[] = [];
  readonly #tickets = new Map<number, HandshakeTicket>();
  readonly #awaitingRoom = new Set<FrontWire>();
  #waiting: WaitingFrame[] = [];
  #scheduled = false;
  #ended = false;

  constructor(sender: RingSender, receiver: RingReceiver, deps: LinkDeps) {
    this.sender = sender;
    this.#receiver = receiver;
    this.#deps = deps;
  }

  get isEmpty(): boolean {
    return this.#receiver.isEmpty;
  }

  /** Handles the frames that are there. Their memory is valid until {@link release}. */
  receive(): void {
    if (!this.#ended) this.#receiver.drain(this.#take, drainMaxBytes);
  }

  /** The end of a turn: sends what was written. */
  send(): void {
    if (this.#ended) return;
    this.#sendWaiting();
    if (this.#waiting.length === 0 && this.#awaitingRoom.size > 0) this.#reportRoom();
    this.sender.publish();
  }

  /** Frees the memory of the frames that were handled. */
  release(): void {
    if (!this.#ended) this.#receiver.release();
  }

  control(kind: number, id: number, text = ''): void {
    if (this.#ended) return;
    if (this.#waiting.length > 0 || !this.#put(kind, id, text)) {
      this.#waiting.push({ kind, id, text });
    }
  }

  publishLater(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(this.#publish);
  }

  awaitRoom(wire: FrontWire): void {
    this.#awaitingRoom.add(wire);
  }

  /** The front ended: its connections are closed. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const ticket of this.#tickets.values()) ticket.release();
    this.#tickets.clear();
    this.#awaitingRoom.clear();
    this.#waiting = [];
    for (const [id, guest] of this.#guests.entries()) if (guest !== undefined) this.#close(id);
  }

  readonly #publish = (): void => {
    this.#scheduled = false;
    if (!this.#ended) this.sender.publish();
  };

  readonly #take = (kind: number, id: number, bytes: Buffer, start: number, end: number): void => {
    if (kind === fromFront.data) {
      this.#guests[id]?.wire?.received(bytes.subarray(start, end));
      return;
    }
    if (kind === fromFront.written) {
      this.#guests[id]?.wire?.written(bytes.readUInt32LE(start));
      return;
    }
    const text = end > start ? bytes.toString('utf8', start, end) : '';
    if (kind <= fromFront.failed) this.#takeHandshake(kind, id, text);
    else this.#takeConnection(kind, id, text);
  };

  #takeHandshake(kind: number, id: number, text: string): void {
    const { quota, events } = this.#deps;
    switch (kind) {
      case fromFront.offer: {
        const ticket = quota.offer(text, {
          begin: () => this.control(toFront.begin, id),
          refuse: (code) => this.control(toFront.refuse, id, code ?? ''),
        });
        if (ticket !== undefined) this.#tickets.set(id, ticket);
        return;
      }
      case fromFront.ready:
        this.#tickets.get(id)?.ready();
        return;
      case fromFront.release:
        this.#tickets.get(id)?.release();
        this.#tickets.delete(id);
        return;
      case fromFront.failed: {
        const { remoteAddress, code, detail } = handshakeFailure.parse(JSON.parse(text));
        events.handshakeFailed(remoteAddress, code, detail);
      }
    }
  }

  #takeConnection(kind: number, id: number, text: string): void {
    const guest = this.#guests[id];
    switch (kind) {
      case fromFront.secured:
        this.#admit(id, securedFacts.parse(JSON.parse(text)));
        return;
      case fromFront.upgraded:
        if (guest?.identity === undefined) return;
        guest.wire = new FrontWire(this, id);
        this.#deps.admitter.acceptUpgraded(guest.wire, guest.identity);
        guest.identity = undefined;
        return;
      case fromFront.upgradeRefused: {
        const { code, detail } = upgradeFailure.parse(JSON.parse(text));
        if (guest?.identity !== undefined)
          this.#deps.upgradeEvents.refused(guest.identity, code, detail);
        return;
      }
      case fromFront.closed:
        this.#close(id);
        this.control(toFront.forget, id);
    }
  }

  #admit(id: number, secured: SecuredFacts): void {
    const { admitter, events, quota } = this.#deps;
    const { issuer = null } = secured.certificate ?? {};
    const isInForce = issuer !== null && this.#deps.isAuthority(issuer);
    events.handshake(secured.resumed ? 'resumed' : 'full', secured.durationMs);
    const identity = admitter.admit(factsOf(secured, isInForce));
    if (identity === undefined) {
      this.control(toFront.destroy, id);
      return;
    }
    quota.admitted(identity.remoteAddress);
    this.control(toFront.admit, id);
    if (secured.port === 'wss') {
      this.#guests[id] = { identity, wire: undefined };
      return;
    }
    const wire = new FrontWire(this, id);
    this.#guests[id] = { identity: undefined, wire };
    admitter.accept(wire, identity);
  }

  #close(id: number): void {
    const guest = this.#guests[id];
    this.#guests[id] = undefined;
    if (guest === undefined) return;
    if (guest.wire === undefined) this.#deps.admitter.release();
    else {
      this.#awaitingRoom.delete(guest.wire);
      guest.wire.closed();
    }
  }

  #put(kind: number, id: number, text: string): boolean {
    const at = this.sender.reserve(kind, id, text.length);
    if (at < 0) return false;
    if (text !== '') this.sender.bytes.write(text, at, 'latin1');
    this.publishLater();
    return true;
  }

  #sendWaiting(): void {
    while (this.#waiting.length > 0) {
      const [first] = this.#waiting;
      if (first === undefined || !this.#put(first.kind, first.id, first.text)) return;
      this.#waiting.shift();
    }
  }

  #reportRoom(): void {
    // Not for the room of a few frames, because many connections may wait for it.
    if (!this.sender.hasRoom(ringToFrontBytes / 4)) return;
    const wires = [...this.#awaitingRoom];
    this.#awaitingRoom.clear();
    // A wire that finds no room is added again.
    for (const wire of wires) wire.onRingRoom();
  }
}

/** The facts for admission. The front has determined what they compute. */
function factsOf({ certificate, ...facts }: SecuredFacts, issuerInForce: boolean): TlsFacts {
  const { chainError, remoteAddress, tlsVersion, resumed } = facts;
  return {
    chainError: chainError ?? undefined,
    remoteAddress,
    tlsVersion,
    resumed,
    certificate:
      certificate === null
        ? undefined
        : {
            serial: certificate.serial,
            fingerprint: certificate.fingerprint,
            commonName: certificate.commonName,
            forClients: certificate.forClients,
            subject: () => certificate.subject,
            issuer: () => (issuerInForce ? (certificate.issuer ?? undefined) : undefined),
            issuedHere: () => certificate.issuedHere,
          },
  };
}
