/**
 * Aedes with its client registry mended: a client is registered and forgotten as itself, not by its
 * id alone, so that two that race for one id never leave a dead one in the registry.
 *
 * @module
 */
import { Aedes, type AedesOptions, type Client } from 'aedes';

/** What the published types of aedes 1.2 leave out. The one seam of this layer. */
export interface AedesInside {
  readonly clients: Record<string, AedesClient | undefined>;
  registerClient(client: AedesClient): void;
  unregisterClient(client: AedesClient): void;
}

export interface AedesClient extends Client {
  duplicates: object;
  will: unknown;
  _disconnected: boolean;
  readonly subscriptions: Record<string, { readonly qos: 0 | 1 | 2 } | undefined>;
  readonly _parser: {
    packet: { length: number };
    _parseLength: () => boolean;
    _emitError(error: Error): void;
  };
}

const registry = Aedes.prototype as unknown as AedesInside;

export class BrokerCore extends Aedes {
  /** Told of a client whose id another one took, before it is closed. */
  takenOver: (client: AedesClient) => void = () => undefined;

  get inside(): AedesInside {
    return this as unknown as AedesInside;
  }

  constructor(options: AedesOptions) {
    super(options);
    const inside = this.inside;
    inside.registerClient = (client) => {
      if (client.closed) return;
      const old = inside.clients[client.id];
      if (old !== undefined) this.takenOver(old);
      registry.registerClient.call(this, client);
    };
    inside.unregisterClient = (client) => {
      if (inside.clients[client.id] === client) registry.unregisterClient.call(this, client);
    };
  }
}
