/**
 * The system under test: a Flotilla, where devices enroll, or any other broker with certificates from a
 * folder.
 *
 * @module
 */

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** A Flotilla: enrollment service and broker. */
export interface FlotillaTarget {
  readonly enrollUrl: string;
  readonly mqtts: HostPort;
  /** More brokers of the same fleet: devices are distributed over all of them. */
  readonly moreMqtts?: readonly HostPort[];
  /** PEM: root, then issuers. */
  readonly ca: string;
  /** Certificate chain and key (PEM) of role `admin`: they create tokens and revoke devices. */
  readonly admin: { readonly cert: string; readonly key: string };
  /** Folder for keys and certificates between runs, `state.sim` (default: they are not kept). */
  readonly keepFolder?: string;
}

/** Any broker with mutual TLS. */
export interface BrokerTarget {
  readonly mqtts: HostPort;
  readonly moreMqtts?: readonly HostPort[];
  /** A folder, see credentials/certificate-folder.ts for its content. */
  readonly certificates: string;
  /** PEM (default: `ca.pem` in the folder). */
  readonly ca?: string;
}

export type SimTarget = FlotillaTarget | BrokerTarget;

/** All brokers of a target, in order. */
export function brokersOf({ mqtts, moreMqtts = [] }: SimTarget): readonly HostPort[] {
  return [mqtts, ...moreMqtts];
}

export function isFlotilla(target: SimTarget): target is FlotillaTarget {
  return 'enrollUrl' in target;
}
