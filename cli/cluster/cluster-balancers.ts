/**
 * The public ports of a cluster on one machine, each with a balancer.
 *
 * @module
 */
import type { Config } from '../../core/config/config.ts';
import type { Lifecycle } from '../../core/lifecycle.ts';
import type { ClusterNode } from './cluster-node.ts';
import { TcpBalancer } from './tcp-balancer.ts';

const ports = ['mqtts', 'wss', 'metrics', 'https', 'enrollMetrics'] as const;
type Port = (typeof ports)[number];

export class ClusterBalancers {
  /** The ports on which they listen. */
  readonly ports: Readonly<Record<Port, number>>;
  readonly #balancers: Readonly<Record<Port, TcpBalancer>>;

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

  routeBroker(node: ClusterNode | undefined): void {
    for (const port of ['mqtts', 'wss', 'metrics'] as const) {
      this.#balancers[port].route(node?.target(port));
    }
  }

  routeEnrollment(node: ClusterNode | undefined): void {
    this.#balancers.https.route(node?.target('https'));
    this.#balancers.enrollMetrics.route(node?.target('metrics'));
  }
}
