/**
 * After a restore from a backup: collects what brokers and the audit log know more than the registry, and applies it
 * again when an operator says so.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import type { EarlierIdentity } from '../../core/protocol/broker-query.ts';
import type { Difference } from '../../core/protocol/reconcile-api.ts';
import { tailAudit } from '../audit/audit-reader.ts';
import type { DeviceAdmin } from '../devices/devices.ts';
import type { AheadBroker, AheadBrokers } from '../feed/ahead-brokers.ts';
import type { BrokerQueries } from '../feed/broker-queries.ts';
import type { Feed } from '../feed/directory-feed.ts';
import type { Lineage } from '../registry/lineage.ts';
import type { Registry } from '../registry/registry.ts';
import { lostDecisions, repeatedStep } from './audit-losses.ts';
import { restoreSteps, type RestoreStep } from './restore-plan.ts';
import {
  adoptRestored,
  revokeRestored,
  type RestoredCertificatesDeps,
} from './restored-certificates.ts';

const pageItems = 500;
const brokerTimeoutMs = 30_000;
const auditLinesMax = 200_000;
const failuresMax = 100;
const auditLogName = 'audit log';

export interface ReconcilerDeps extends RestoredCertificatesDeps {
  readonly ahead: AheadBrokers;
  readonly auditFolder: string;
  readonly devices: DeviceAdmin;
  readonly feed: Feed;
  readonly lineage: Lineage;
  readonly queries: BrokerQueries;
  readonly registry: Registry;
  readonly renewCrl: () => Promise<unknown>;
}

/** A step, and who knows it. */
interface KnownStep extends RestoreStep {
  readonly sources: string[];
}

export interface ReconcileOutcome {
  readonly applied: number;
  readonly skipped: number;
  /** What was skipped. */
  readonly left: readonly Difference[];
  readonly failures: readonly { readonly device: string; readonly code: string }[];
  readonly brokers: readonly DeviceId[];
}

export class Reconciler {
  readonly #deps: ReconcilerDeps;

  constructor(deps: ReconcilerDeps) {
    this.#deps = deps;
  }

  get brokers(): readonly AheadBroker[] {
    return this.#deps.ahead.list;
  }

  /** The registered brokers that cannot be asked, because they are not connected. */
  get absent(): readonly DeviceId[] {
    return this.#deps.feed.absent.list;
  }

  /** What differs, by device. @throws FlotillaError `broker-not-connected`, `broker-no-answer` */
  async differences(): Promise<Difference[]> {
    return (await this.#steps()).map(differenceOf);
  }

  /**
   * Decides about all differences. The brokers get the state of the registry afterwards, unless a step failed.
   *
   * @param adopt undefined: nothing is applied, what the brokers know more is forgotten
   * @throws FlotillaError `version-conflict` when there is another number of differences
   */
  async decide(
    { adopt, expected }: { readonly adopt: boolean | undefined; readonly expected: number },
    actor: string,
  ): Promise<ReconcileOutcome> {
    const { ahead, feed, lineage, registry, renewCrl } = this.#deps;
    const steps = await this.#steps();
    if (steps.length !== expected) {
      throw new FlotillaError('version-conflict', {
        detail: `${steps.length} differences; expected was ${expected}`,
      });
    }
    const failures: { device: string; code: string }[] = [];
    const left: Difference[] = [];
    let applied = 0;
    for (const step of steps) {
      try {
        if (adopt !== undefined && (await this.#apply(step, adopt, actor))) applied++;
        else left.push(differenceOf(step));
      } catch (error) {
        if (!isFlotillaError(error) || error.code === 'registry-unavailable') throw error;
        if (failures.length < failuresMax) failures.push({ device: step.device, code: error.code });
      }
    }
    const skipped = left.length;
    if (failures.length > 0) return { applied, skipped, left, failures, brokers: [] };
    await lineage.settleAudit();
    const brokers = await ahead.settle();
    const detail = { applied, skipped, brokers: brokers.join(' '), adopted: adopt === true };
    await registry.commit({ events: [{ action: 'restore-settled', actor, detail }] });
    feed.restart(brokers);
    // The list is signed again regularly; a failure is logged there.
    await renewCrl().catch(() => undefined);
    return { applied, skipped, left, failures, brokers };
  }

  /** @returns whether the step changed something */
  async #apply(step: RestoreStep, adopt: boolean, actor: string): Promise<boolean> {
    const { devices } = this.#deps;
    const { device, action } = step;
    switch (action) {
      case 'revoke':
        await devices.revoke(device, 'unspecified', actor);
        return true;
      case 'suspend':
      case 'quarantine': {
        const status = action === 'suspend' ? 'suspended' : 'quarantined';
        return devices.restrain(device, status, actor, { cause: 'restore' });
      }
      case 'delete':
        await devices.delete(device, actor);
        return true;
      case 'revoke-certificates':
        await revokeRestored(step, actor, this.#deps);
        return true;
      case 'adopt':
        if (adopt) await adoptRestored(step, actor, this.#deps);
        return adopt;
      case 'manual':
        return false;
    }
  }

  async #steps(): Promise<KnownStep[]> {
    const { ahead } = this.#deps;
    const found = new Map<string, KnownStep>();
    const add = (step: RestoreStep, source: string): void => {
      const key = `${step.device} ${step.action}`;
      const known = found.get(key);
      if (known === undefined) found.set(key, { ...step, sources: [source] });
      else if (!known.sources.includes(source)) known.sources.push(source);
    };
    for (const one of ahead.list) {
      for await (const identity of this.#identitiesOf(one.broker)) {
        for (const step of await this.#stepsOf(identity, one.sinceMs)) add(step, one.broker);
      }
    }
    for (const step of await this.#auditSteps()) add(step, auditLogName);
    return [...found.values()].sort((one, other) => (one.device < other.device ? -1 : 1));
  }

  async *#identitiesOf(broker: DeviceId): AsyncGenerator<EarlierIdentity> {
    let after: string | null = '';
    while (after !== null) {
      const query: { kind: 'earlier'; limit: number; after?: string } = {
        kind: 'earlier',
        limit: pageItems,
        ...(after === '' ? {} : { after }),
      };
      const page = await this.#deps.queries.ask(broker, query, { timeoutMs: brokerTimeoutMs });
      yield* page.identities;
      after = page.next;
    }
  }

  async #stepsOf({ id, entry }: EarlierIdentity, sinceMs: number): Promise<RestoreStep[]> {
    const { clock, registry } = this.#deps;
    const row = await registry.get('devices', id);
    const revoked = new Set<string>();
    for (const { serial } of entry?.certificates ?? []) {
      if ((await registry.get('revocations', serial)) !== undefined) revoked.add(serial);
    }
    const isRevoked = (serial: string): boolean => revoked.has(serial);
    return restoreSteps(id, entry, row, { sinceMs, nowMs: clock.now(), isRevoked });
  }

  async #auditSteps(): Promise<RestoreStep[]> {
    const { auditFolder, lineage, registry } = this.#deps;
    const lost = lineage.lostCommits;
    if (lost === undefined) return [];
    const steps: RestoreStep[] = [];
    const lines = await tailAudit(auditFolder, auditLinesMax);
    for (const [device, action] of lostDecisions(lines, lost)) {
      const step = repeatedStep(device, action, await registry.get('devices', device));
      if (step !== undefined) steps.push(step);
    }
    return steps;
  }
}

function differenceOf({ device, action, certificates, sources }: KnownStep): Difference {
  return { device, action, serials: certificates.map(({ serial }) => serial), sources };
}
