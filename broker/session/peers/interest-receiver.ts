/**
 * Applies what another partition announces on one link to its session here. What was not announced again since the
 * link was made is removed.
 *
 * @module
 */
import { FlotillaError } from '../../../core/errors/flotilla-error.ts';
import { splitShared, topicFilterFault } from '../../../core/topic.ts';
import type { SubscriptionRecord } from '../../store/session-store.ts';
import type { SessionContext } from '../state/context.ts';
import type { InterestChange, AnnouncedFilter } from './interest-lines.ts';
import { sharedIdentifier } from './shared-name.ts';
import type { PeerSession } from './peer-session.ts';

export class InterestReceiver {
  readonly #session: PeerSession;
  readonly #limits: SessionContext['limits'];
  /** The filters that were announced since the link was made; undefined: all were. */
  #announced: Set<string> | undefined = new Set();

  constructor(session: PeerSession, limits: SessionContext['limits']) {
    this.#session = session;
    this.#limits = limits;
  }

  /** Whether everything was announced that is not new since the link was made. */
  get isSynced(): boolean {
    return this.#announced === undefined;
  }

  /** @throws FlotillaError `topic-filter-invalid`, `subscriptions-too-many` */
  apply({ add, remove }: InterestChange): void {
    for (const filter of remove) {
      this.#announced?.delete(filter);
      this.#session.unsubscribe(filter);
    }
    for (const one of add) this.#add(one);
  }

  /** Removes what was not announced. */
  finish(): void {
    const announced = this.#announced;
    if (announced === undefined) return;
    this.#announced = undefined;
    for (const filter of this.#session.subscriptions.keys()) {
      if (!announced.has(filter)) this.#session.unsubscribe(filter);
    }
  }

  #add(announced: AnnouncedFilter): void {
    const { filter, qos, identifier } = announced;
    const { topicMaxBytes, topicLevelsMax, subscriptionsTotalMax } = this.#limits;
    if (topicFilterFault(filter, { maxBytes: topicMaxBytes, levelsMax: topicLevelsMax })) {
      throw new FlotillaError('topic-filter-invalid', { detail: filter.slice(0, 128) });
    }
    const isShared = splitShared(filter) !== undefined;
    if (identifier !== (isShared ? sharedIdentifier(filter) : undefined)) {
      throw new FlotillaError('topic-filter-invalid', { detail: `identifier ${identifier ?? ''}` });
    }
    const { subscriptions } = this.#session;
    if (subscriptions.size >= subscriptionsTotalMax && !subscriptions.has(filter)) {
      throw new FlotillaError('subscriptions-too-many');
    }
    this.#announced?.add(filter);
    const record: SubscriptionRecord = {
      filter,
      qos,
      noLocal: false,
      retainAsPublished: true,
      retainHandling: 2,
      identifier,
    };
    this.#session.subscribe(record);
    if (isShared) this.#session.setMembers(filter, announced.members ?? 0, announced.offline ?? 0);
  }
}
