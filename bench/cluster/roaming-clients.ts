/**
 * Keeps clients connected to any node of a cluster, as behind a balancer: a client whose connection ends, or whose broker
 * does not answer PINGREQ, connects to a random node that runs.
 *
 * @module
 */
import type { ExactClient } from '../kill/exact-client.ts';
import type { LoadTarget } from '../load/load-client.ts';

const checkMs = 50;
const pingAfterMs = 2000;
/** A broker that has said nothing for this time is left. */
const deadAfterMs = 6000;
/** A client gives up an attempt after this time. */
const attemptMaxMs = 6000;
const pauseMinMs = 50;
const pauseMaxMs = 150;

interface Roamer {
  readonly client: ExactClient;
  isConnecting: boolean;
  pingedAtMs: number;
  /** When its connection was lost; undefined while it is connected. */
  lostAtMs: number | undefined;
}

export class RoamingClients {
  readonly #roamers: readonly Roamer[];
  readonly #targets: () => readonly LoadTarget[];
  readonly #random: () => number;
  readonly #timer: NodeJS.Timeout;
  #reconnectsMs: number[] = [];

  /** @param targets the nodes that run now; one that hangs is among them */
  constructor(
    clients: readonly ExactClient[],
    targets: () => readonly LoadTarget[],
    random: () => number,
  ) {
    this.#roamers = clients.map((client) => ({
      ...{ client, isConnecting: false, pingedAtMs: 0, lostAtMs: undefined },
    }));
    this.#targets = targets;
    this.#random = random;
    this.#timer = setInterval(() => this.#check(), checkMs);
  }

  get connected(): number {
    return this.#roamers.filter(({ client, isConnecting }) => client.isReady && !isConnecting)
      .length;
  }

  get areConnected(): boolean {
    return this.connected === this.#roamers.length;
  }

  /** How long the clients that lost their connection were without one, in ms, since the last call. */
  takeReconnectsMs(): readonly number[] {
    const nowMs = performance.now();
    const still = this.#roamers.flatMap(({ lostAtMs }) =>
      lostAtMs === undefined ? [] : [nowMs - lostAtMs],
    );
    const taken = [...this.#reconnectsMs, ...still];
    this.#reconnectsMs = [];
    return taken;
  }

  /** The clients stay as they are. */
  close(): void {
    clearInterval(this.#timer);
  }

  #check(): void {
    const nowMs = performance.now();
    for (const roamer of this.#roamers) {
      if (roamer.isConnecting) continue;
      const { client } = roamer;
      if (!client.isReady || nowMs - client.heardAtMs > deadAfterMs) {
        void this.#connect(roamer);
      } else if (nowMs - Math.max(client.heardAtMs, roamer.pingedAtMs) > pingAfterMs) {
        roamer.pingedAtMs = nowMs;
        client.ping();
      }
    }
  }

  async #connect(roamer: Roamer): Promise<void> {
    const { client } = roamer;
    const targets = this.#targets();
    const target = targets[Math.floor(this.#random() * targets.length)];
    if (target === undefined) return;
    roamer.isConnecting = true;
    roamer.lostAtMs ??= performance.now();
    // A former connection that is open stays so: what a broker that hangs has acknowledged still counts.
    const isConnected = await within(client.connect(target), attemptMaxMs);
    if (isConnected) {
      this.#reconnectsMs.push(performance.now() - roamer.lostAtMs);
      roamer.lostAtMs = undefined;
    } else {
      client.drop();
      const pauseMs = pauseMinMs + this.#random() * (pauseMaxMs - pauseMinMs);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    roamer.isConnecting = false;
  }
}

/** @returns whether it succeeds in time */
function within(attempt: Promise<void>, maxMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), maxMs);
    attempt.then(
      () => {
        clearTimeout(timer);
        resolve(true);
      },
      () => {
        clearTimeout(timer);
        resolve(false);
      },
    );
  });
}
