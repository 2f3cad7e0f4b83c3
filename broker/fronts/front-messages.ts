/**
 * The messages between the core and a front about its ports. Connections use the rings.
 *
 * @module
 */
import type { ErrorCode } from '../../core/errors/catalogue.ts';
import type {
  DeviceAddresses,
  DevicePortsOptions,
  PortMaterial,
} from '../listeners/device-ports.ts';

/** What a front starts with. */
export interface FrontStart {
  /** From 0. */
  readonly index: number;
  readonly options: DevicePortsOptions;
  readonly material: PortMaterial;
  /** Networks of load balancers that send the PROXY protocol. */
  readonly proxies: readonly string[];
  readonly bells: SharedArrayBuffer;
  readonly toCore: SharedArrayBuffer;
  readonly toFront: SharedArrayBuffer;
  readonly load: SharedArrayBuffer;
  /** Whether memory of the rings is overwritten when it is released, for tests. */
  readonly poisons: boolean;
}

/** From the core. */
export type FrontCommand =
  | { readonly type: 'material'; readonly material: PortMaterial }
  | { readonly type: 'proxies'; readonly proxies: readonly string[] }
  | { readonly type: 'stop-listening' }
  | { readonly type: 'close' };

/** From a front, once. */
export type FrontReport =
  | { readonly type: 'listening'; readonly addresses: DeviceAddresses }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly detail: string };
