/**
 * The network of a cluster on this machine, with a proxy in front of each port of each node and in front of the database of
 * each node.
 *
 * @module
 */
import type { NetConnectOpts, Socket } from 'node:net';
import { parseDatabaseUrl } from '../../core/config/database-url.ts';
import { clientProcess } from './client-process.ts';
import { NetworkPath } from './network-path.ts';
import { TcpProxy } from './tcp-proxy.ts';

interface NodePorts {
  readonly devices: TcpProxy;
  readonly cluster: TcpProxy;
  readonly database: TcpProxy;
}

export interface NodeTargets {
  readonly devices: NetConnectOpts;
  readonly cluster: NetConnectOpts;
}

export class NodeNetwork {
  readonly #ports: readonly NodePorts[];
  /** By the number of the node that opens the connection, then by that of the other one. */
  readonly #between: readonly (readonly NetworkPath[])[];

  private constructor(ports: readonly NodePorts[], between: readonly (readonly NetworkPath[])[]) {
    this.#ports = ports;
    this.#between = between;
  }

  /**
   * @param pids the processes of the nodes, in their order; undefined: it does not run
   */
  static async create(
    nodes: number,
    database: NetConnectOpts,
    pids: () => readonly (number | undefined)[],
  ): Promise<NodeNetwork> {
    const numbers = Array.from({ length: nodes }, (_, index) => index);
    const between = numbers.map(() => numbers.map(() => new NetworkPath()));
    const pathTo =
      (to: number) =>
      async (client: Socket): Promise<NetworkPath> => {
        const running = pids();
        const known = running.filter((pid) => pid !== undefined);
        const pid = await clientProcess(client, known);
        const path = pid === undefined ? undefined : between[running.indexOf(pid)]?.[to];
        return path ?? new NetworkPath();
      };
    const ports = await Promise.all(
      numbers.map(async (to) => ({
        devices: await TcpProxy.listen(),
        cluster: await TcpProxy.listen(undefined, pathTo(to)),
        database: await TcpProxy.listen(database),
      })),
    );
    return new NodeNetwork(ports, between);
  }

  /** The connections that one node opens to another one. @throws RangeError when there is no such node */
  between(from: number, to: number): NetworkPath {
    const path = this.#between[from]?.[to];
    if (path === undefined) throw new RangeError(`no nodes ${from} and ${to}`);
    return path;
  }

  /** The proxies of a node; its devices and its database have one path each. @throws RangeError */
  portsOf(node: number): NodePorts {
    const ports = this.#ports[node];
    if (ports === undefined) throw new RangeError(`no node ${node}`);
    return ports;
  }

  /** What the node has in place of the URL of the database. */
  databaseUrl(node: number, url: string): string {
    const { user = '', database } = parseDatabaseUrl(url);
    const { host, port } = this.portsOf(node).database;
    return `postgres://${user}@${host}:${port}/${database}?sslmode=disable`;
  }

  /** Where other nodes find a node: the setting `cluster.address`. */
  addressOf(node: number): string {
    const { host, port } = this.portsOf(node).cluster;
    return `${host}:${port}`;
  }

  /** Where a node listens; it may be another place after each start. */
  forwardTo(node: number, { devices, cluster }: NodeTargets): void {
    const ports = this.portsOf(node);
    ports.devices.forwardTo(devices);
    ports.cluster.forwardTo(cluster);
  }

  /** From now on, nothing that one node sends arrives at the other one. */
  cutOneWay(from: number, to: number): void {
    this.between(from, to).blackHole('toServer');
    this.between(to, from).blackHole('toClient');
  }

  /** Nothing passes between two nodes in any direction. */
  cut(one: number, other: number): void {
    this.cutOneWay(one, other);
    this.cutOneWay(other, one);
  }

  /** Ends all faults. */
  heal(): void {
    for (const path of this.#all()) path.pass();
  }

  close(): void {
    for (const { devices, cluster, database } of this.#ports) {
      for (const proxy of [devices, cluster, database]) proxy.close();
    }
  }

  *#all(): Generator<NetworkPath> {
    for (const paths of this.#between) yield* paths;
    for (const { devices, database } of this.#ports) yield* [devices.path, database.path];
  }
}
