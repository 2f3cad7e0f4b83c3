/**
 * The frames between a front and the core thread.
 *
 * A connection has a number that its front assigns when its TLS handshake is complete, and that is used
 * again only after `forget`. A handshake that waits for its place has a number of its own, which is never
 * used again.
 *
 * @module
 */

/** From a front to the core. */
export const fromFront = {
  /** A new connection asks for a handshake: its address. */
  offer: 1,
  /** Its first bytes arrived. */
  ready: 2,
  /** Its handshake is over, or it closed. */
  release: 3,
  /** A handshake or a connection failed before: `HandshakeFailure` of front-facts.ts. */
  failed: 4,
  /** A handshake is complete: `SecuredFacts`. The core admits or destroys the connection. */
  secured: 5,
  /** The admitted connection is a WebSocket now. */
  upgraded: 6,
  /** The request of an admitted connection was not a valid upgrade: `UpgradeFailure`. */
  upgradeRefused: 7,
  /** Bytes of the client. */
  data: 8,
  /** So many bytes left the process (u32). */
  written: 9,
  /** The connection is closed. */
  closed: 10,
} as const;

/** From the core to a front. */
export const toFront = {
  /** The handshake may start. */
  begin: 32,
  /** The connection must be closed before its handshake: the error code, or nothing. */
  refuse: 33,
  admit: 34,
  data: 35,
  /** The same, and the core waits for its `written`. */
  dataAwaited: 36,
  pause: 37,
  resume: 38,
  /** Close after everything was sent. */
  end: 39,
  destroy: 40,
  /** The core knows that the connection is closed: its number may be used again. */
  forget: 41,
} as const;

/** The largest frame with bytes of a connection. A ring holds at least 16 of them. */
export const ringFrameMaxBytes = 64 * 1024;
export const ringToCoreBytes = 2 * 1024 * 1024;
export const ringToFrontBytes = 4 * 1024 * 1024;

/**
 * About how many bytes of a ring are handled in one turn: so that fronts take turns, and so that a front that
 * writes small packets to thousands of connections still handles its sockets in between.
 */
export const drainMaxBytes = 256 * 1024;

/** Bytes that left the process are reported in steps of this size. */
export const writtenStepBytes = 16 * 1024;
/** A connection with so many unsent bytes accepts no more. */
export const unsentMaxBytes = 64 * 1024;
