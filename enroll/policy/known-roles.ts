/**
 * Checks that a role exists before an operator gives it to an identity: an identity with a role that no policy
 * has could not connect.
 *
 * @module
 */
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { PolicyReader } from '../../core/policy/policy-reader.ts';
import type { BrokerQueries } from '../feed/broker-queries.ts';
import type { Feed } from '../feed/directory-feed.ts';
import type { FleetPolicy } from './fleet-policy.ts';

const brokerTimeoutMs = 2000;
/** How many roles the error names. */
const namedMax = 20;
const textsKeptMax = 8;

export interface KnownRolesDeps {
  readonly feed: Pick<Feed, 'brokers'>;
  readonly policy: Pick<FleetPolicy, 'get'>;
  readonly queries: Pick<BrokerQueries, 'ask'>;
  readonly reader: Pick<PolicyReader, 'check'>;
}

export class KnownRoles {
  readonly #deps: KnownRolesDeps;
  /** The roles of the texts that were read last. */
  readonly #read = new Map<string, Promise<string[]>>();

  constructor(deps: KnownRolesDeps) {
    this.#deps = deps;
  }

  /**
   * Checks roles against the fleet's policy and, if it lacks one of them, against what is in force at the
   * brokers, which may have a file of their own. When neither is known, every role is accepted.
   *
   * @param roles null and undefined are no role, and always accepted
   * @throws FlotillaError `policy-role-unknown`
   */
  async assertKnown(...roles: readonly (string | null | undefined)[]): Promise<void> {
    const wanted = new Set(roles.filter((role) => typeof role === 'string'));
    if (wanted.size === 0) return;
    const unknown = await this.unknown(wanted);
    if (unknown === undefined) return;
    throw new FlotillaError('policy-role-unknown', { detail: unknown });
  }

  /** @returns a sentence with the roles that exist; undefined when the wanted ones do, or it cannot be known */
  async unknown(wanted: ReadonlySet<string>): Promise<string | undefined> {
    const stored = await this.#deps.policy.get();
    const known = new Set<string>(
      stored.source === 'fleet' ? await this.#rolesOf(stored.text) : [],
    );
    if (known.size > 0 && missing(wanted, known).length === 0) return undefined;
    for (const role of await this.#ofBrokers()) known.add(role);
    const absent = missing(wanted, known);
    if (known.size === 0 || absent.length === 0) return undefined;
    return `${absent.join(', ')}; the policy has ${[...known].slice(0, namedMax).join(', ')}`;
  }

  /** The roles of the policies in force. A broker that does not answer counts as none. */
  async #ofBrokers(): Promise<string[]> {
    const { feed, queries } = this.#deps;
    const texts = await Promise.all(
      feed.brokers.map(async (broker) => {
        try {
          const query = { kind: 'policy' } as const;
          return (await queries.ask(broker, query, { timeoutMs: brokerTimeoutMs })).text;
        } catch (error) {
          if (isFlotillaError(error)) return undefined;
          throw error;
        }
      }),
    );
    const known = texts.filter((text) => text !== undefined);
    return (await Promise.all(known.map((text) => this.#rolesOf(text)))).flat();
  }

  /** A broker of a newer version may have a policy that this service cannot read. */
  #rolesOf(text: string): Promise<string[]> {
    const before = this.#read.get(text);
    if (before !== undefined) return before;
    const reading = this.#deps.reader.check(text, 'roles').then(
      (roles) => roles.map(({ name }) => name),
      (error: unknown) => {
        this.#read.delete(text);
        if (isFlotillaError(error)) return [];
        throw error;
      },
    );
    const [oldest] = this.#read.keys();
    if (this.#read.size >= textsKeptMax && oldest !== undefined) this.#read.delete(oldest);
    this.#read.set(text, reading);
    return reading;
  }
}

function missing(wanted: ReadonlySet<string>, known: ReadonlySet<string>): string[] {
  return [...wanted].filter((role) => !known.has(role));
}
