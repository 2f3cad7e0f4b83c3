/**
 * The public ports of a cluster on one machine, each with a balancer.
 *
 * @module
 */
import type { Config } from '../../core/config/config.ts';
import type { Lifecycle } from '../../core/lifecycle.ts';
import type { ClusterNode } from './cluster-node.ts';
import { chooseBrokers, chooseInstance, type InstanceState } from './instance-choice.ts';
import { TcpBalancer, type InstanceAddress } from './tcp-balancer.ts';

const ports = ['mqtts', 'wss', 'metrics', 'https', 'enrollMetrics'] as const;
type Port = (typeof ports)[number];

/** A process, and what is known about it. */
export interface ObservedNode {
  readonly node: ClusterNode;
  readonly state: InstanceState;
}

export class ClusterBalancers {
  /** The ports on which they listen. */
  readonly ports: Readonly<Record<Port, number>>;
  readonly #balancers: Readonly<Record<Port, TcpBalancer>>;
  #metricsBroker: string | undefined;
  #enrollment: string | undefined;
  #enrollmentTargets: readonly InstanceAddress[] = [];

  private constructor(
    balancers: Readonly<Record<Port, TcpBalancer>>,
    listening: Readonly<Record<Port, number>>,
  ) {
    this.#balancers = balancers;
    this.ports = listening;
  }

  /** @throws FlotillaError `address-in-use`, `start-failed` */
  static async listen(
    { host, broker, enroll }: Config,
    lifecycle: Lifecycle,
  ): Promise<ClusterBalancers> {
    // Metrics have no PROXY header, as those of the services.
    const balancers = {
      mqtts: new TcpBalancer(true),
      wss: new TcpBalancer(true),
      https: new TcpBalancer(true),
      metrics: new TcpBalancer(false),
      enrollMetrics: new TcpBalancer(false),
    };
    for (const name of ports) lifecycle.add(`port ${name}`, () => balancers[name].close());
    return new ClusterBalancers(balancers, {
      mqtts: await balancers.mqtts.listen(host, broker.mqttsPort),
      wss: await balancers.wss.listen(host, broker.wssPort),
      https: await balancers.https.listen(host, enroll.port),
      metrics: await balancers.metrics.listen(broker.metricsHost, broker.metricsPort),
      enrollMetrics: await balancers.enrollMetrics.listen(enroll.metricsHost, enroll.metricsPort),
    });
  }

  /** Distributes new connections over the brokers that are ready. Those to a broker that does not answer any more end. */
  routeBrokers(brokers: readonly ObservedNode[]): void {
    const states = brokers.map(({ state }) => state);
    const chosen = chooseBrokers(states);
    const accepting = brokers.filter(({ state }) => chosen.includes(state.name));
    // One broker answers all questions about metrics while it can: counters of several would alternate.
    this.#metricsBroker = chooseInstance(this.#metricsBroker, states);
    const [metrics] = brokers.filter(({ state }) => state.name === this.#metricsBroker);
    this.#route('metrics', targetsOf([metrics], 'metrics'));
    for (const port of ['mqtts', 'wss'] as const) {
      this.#route(port, targetsOf(accepting, port));
      const silent = brokers.filter(({ state }) => state.isSilent);
      for (const target of targetsOf(silent, port)) this.#balancers[port].leave(target);
    }
  }

  /** Sends connections to the active instance. Those to a former one end. */
  routeEnrollment(instances: readonly ObservedNode[]): void {
    const states = instances.map(({ state }) => state);
    this.#enrollment = chooseInstance(this.#enrollment, states);
    const active = instances.filter(({ state }) => state.name === this.#enrollment);
    const https = targetsOf(active, 'https');
    for (const former of this.#enrollmentTargets) {
      if (https.every(({ port }) => port !== former.port)) this.#balancers.https.leave(former);
    }
    this.#enrollmentTargets = https;
    this.#route('https', https);
    this.#route('enrollMetrics', targetsOf(active, 'metrics'));
  }

  #route(port: Port, targets: readonly InstanceAddress[]): void {
    this.#balancers[port].route(targets);
  }
}

function targetsOf(
  nodes: readonly (ObservedNode | undefined)[],
  port: Parameters<ClusterNode['target']>[0],
): readonly InstanceAddress[] {
  return nodes.map((one) => one?.node.target(port)).filter((target) => target !== undefined);
}
