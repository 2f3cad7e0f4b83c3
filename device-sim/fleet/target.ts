/**
 * What a simulation runs against: a Flotilla, where devices enroll, or any other broker with
 * certificates from a folder.
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
  /** Further brokers of the same fleet: devices are spread over all of them. */
  readonly moreMqtts?: readonly HostPort[];
  /** PEM: root, then issuers. */
  readonly ca: string;
  /** A certificate (chain) of role `admin` and its key, PEM: it makes tokens and revokes. */
  readonly admin: { readonly cert: string; readonly key: string };
  /** Where keys and certificates are kept between runs (`state.sim`); nowhere unless told. */
  readonly keepFolder?: string;
}

/** Any broker with mutual TLS. */
export interface BrokerTarget {
  readonly mqtts: HostPort;
  readonly moreMqtts?: readonly HostPort[];
  /** See credentials/certificate-folder.ts for what it holds. */
  readonly certificates: string;
  /** PEM; `ca.pem` in the folder unless told. */
  readonly ca?: string;
}

export type SimTarget = FlotillaTarget | BrokerTarget;

/** All brokers of a target, the first one first. */
export function brokersOf({ mqtts, moreMqtts = [] }: SimTarget): readonly HostPort[] {
  return [mqtts, ...moreMqtts];
}

export function isFlotilla(target: SimTarget): target is FlotillaTarget {
  return 'enrollUrl' in target;
}
