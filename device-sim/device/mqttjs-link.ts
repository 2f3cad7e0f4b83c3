/**
 * A link that uses MQTT.js as applications do. The socket is created here, so that handshakes can be
 * timed and TLS sessions resumed. The device reconnects by itself, so that its delays follow the seed.
 *
 * @module
 */
import { MqttClient, Store, type IClientOptions } from 'mqtt';
import { dial, failureOf, type Dialed, type DialOptions, type Failure } from './dial.ts';
import {
  connackReason,
  LinkError,
  type Connected,
  type LinkCallback,
  type Link,
  type LinkEvents,
  type LinkOptions,
} from './link.ts';

export class MqttJsLink implements Link {
  readonly #options: LinkOptions;
  readonly #events: LinkEvents;
  readonly #pending = new Set<LinkCallback>();
  #client: MqttClient | undefined;
  #dialed: Dialed | undefined;
  #online = false;
  #lastError: Failure | undefined;

  constructor(options: LinkOptions, events: LinkEvents) {
    this.#options = options;
    this.#events = events;
  }

  get online(): boolean {
    return this.#online;
  }

  get inflight(): number {
    return this.#pending.size;
  }

  connect(options: DialOptions): Promise<Connected> {
    return new Promise((resolve, reject) => {
      this.#lastError = undefined;
      const { client, fresh } = this.#clientFor(options);
      const settle = (): void => {
        clearTimeout(timer);
        client.off('connect', onConnect);
        client.off('error', onError);
        client.off('close', onClose);
      };
      const fail = (failure: Failure): void => {
        settle();
        this.#dialed?.socket.destroy();
        if (!this.#options.kept) this.#abandon(client);
        reject(new LinkError(failure));
      };
      const onConnect = (connack: { sessionPresent: boolean }): void => {
        settle();
        this.#online = true;
        client.once('close', () => this.#closed(client));
        const timing = this.#dialed?.timing ?? {
          startMs: 0,
          tcpMs: 0,
          secureMs: 0,
          resumed: false,
        };
        resolve({ timing, connackMs: performance.now(), sessionPresent: connack.sessionPresent });
      };
      const onError = (error: Error): void => {
        const code = 'code' in error ? error.code : undefined;
        const refused = typeof code === 'number';
        this.#lastError = refused
          ? { reason: connackReason(code), detail: error.message }
          : failureOf(error, this.#dialed?.timing.secureMs !== undefined);
        if (refused) fail(this.#lastError);
      };
      const onClose = (): void => {
        const secured = this.#dialed?.timing.secureMs !== undefined;
        fail(
          this.#lastError ?? {
            reason: secured ? 'closed-before-connack' : 'tls-closed',
            detail: 'the broker closed the connection',
          },
        );
      };
      const timer = setTimeout(
        () =>
          fail({
            reason: 'timeout',
            detail: `no CONNACK within ${this.#options.connectTimeoutMs} ms`,
          }),
        this.#options.connectTimeoutMs,
      );
      client.on('connect', onConnect);
      client.on('error', onError);
      client.on('close', onClose);
      if (fresh) client.connect();
      // With its own stores, a client keeps unacknowledged messages.
      else
        client.reconnect({
          incomingStore: client.incomingStore,
          outgoingStore: client.outgoingStore,
        });
    });
  }

  publish(
    topic: string,
    payload: string,
    qos: 0 | 1 | 2,
    retain: boolean,
    done: LinkCallback,
  ): void {
    const client = this.#client;
    if (client === undefined || (!this.#online && !this.#options.kept)) {
      done('offline');
      return;
    }
    this.#pending.add(done);
    client.publish(topic, payload, { qos, retain }, (error) => {
      if (!this.#pending.delete(done)) return;
      done(error instanceof Error ? publishReason(error) : undefined);
    });
  }

  subscribe(filter: string, qos: 0 | 1 | 2): Promise<number> {
    const client = this.#client;
    if (client === undefined || !this.#online) {
      return Promise.reject(new LinkError({ reason: 'offline', detail: filter }));
    }
    return new Promise((resolve, reject) => {
      const onClose = (): void => reject(new LinkError({ reason: 'closed', detail: filter }));
      client.once('close', onClose);
      client.subscribe(filter, { qos }, (error, granted, packet) => {
        client.off('close', onClose);
        const code = packet?.granted[0] ?? granted?.[0]?.qos;
        // MQTT.js reports a rejection as an error, but the code is in the packet.
        if (typeof code === 'number') resolve(code);
        else
          reject(new LinkError({ reason: 'subscribe-failed', detail: error?.message ?? filter }));
      });
    });
  }

  unsubscribe(filter: string): Promise<void> {
    const client = this.#client;
    if (client === undefined || !this.#online) return Promise.resolve();
    return new Promise((resolve) => {
      client.once('close', resolve);
      client.unsubscribe(filter, () => {
        client.off('close', resolve);
        resolve();
      });
    });
  }

  end(): Promise<void> {
    const client = this.#client;
    if (client === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.destroy();
        resolve();
      }, 2000);
      client.end(false, () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  destroy(): void {
    this.#dialed?.socket.destroy();
  }

  pauseReading(paused: boolean): void {
    if (paused) this.#dialed?.socket.pause();
    else this.#dialed?.socket.resume();
  }

  #clientFor(options: DialOptions): { client: MqttClient; fresh: boolean } {
    this.#openSocket = () => {
      this.#dialed = dial(options);
      return this.#dialed.socket;
    };
    if (this.#client !== undefined && this.#options.kept) {
      return { client: this.#client, fresh: false };
    }
    const client = new MqttClient(() => this.#openSocket(), clientOptions(this.#options));
    client.on('message', (topic, payload, packet) =>
      this.#events.message(topic, payload, packet.qos, packet.retain),
    );
    // connect() reports an error before CONNACK, 'close' a later one.
    client.on('error', (error) => {
      this.#lastError ??= failureOf(error, true);
    });
    client.on('disconnect', (packet) => {
      const code = packet.reasonCode ?? 0;
      this.#lastError = {
        reason: `disconnect-0x${code.toString(16).padStart(2, '0')}`,
        detail: packet.properties?.reasonString ?? 'DISCONNECT from the broker',
      };
    });
    this.#client = client;
    return { client, fresh: true };
  }

  #openSocket: () => Dialed['socket'] = () => {
    throw new Error('connect() was not called');
  };

  #closed(client: MqttClient): void {
    if (!this.#online) return;
    this.#online = false;
    const failure = this.#lastError ?? { reason: 'closed', detail: 'the connection ended' };
    if (!this.#options.kept) this.#abandon(client);
    this.#events.closed(failure);
  }

  #abandon(client: MqttClient): void {
    client.end(true);
    const pending = [...this.#pending];
    this.#pending.clear();
    for (const done of pending) done('closed');
  }
}

function publishReason(error: Error): string {
  const code = 'code' in error && typeof error.code === 'number' ? error.code : undefined;
  return code === undefined ? 'publish-failed' : `puback-0x${code.toString(16)}`;
}

function clientOptions(options: LinkOptions): IClientOptions {
  const mqtt5 = options.mqtt === '5.0';
  return {
    clientId: options.clientId,
    protocolVersion: mqtt5 ? 5 : 4,
    clean: !options.kept,
    keepalive: options.keepAliveSeconds,
    reconnectPeriod: 0,
    // The link's own timeout applies first; it covers TCP and TLS too.
    connectTimeout: options.connectTimeoutMs + 1000,
    manualConnect: true,
    resubscribe: false,
    queueQoSZero: false,
    timerVariant: 'native',
    // These stores survive `end()`: the next connection sends unacknowledged messages again.
    ...(options.kept
      ? {
          incomingStore: new Store({ clean: false }),
          outgoingStore: new Store({ clean: false }),
        }
      : {}),
    ...(mqtt5 && options.kept
      ? { properties: { sessionExpiryInterval: options.sessionExpirySeconds } }
      : {}),
  };
}
