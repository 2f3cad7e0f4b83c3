/**
 * Chooses the member of a shared subscription that gets a message: in turn, those first that are ready to
 * send [MQTT-4.8.2-4]. A receiver that stands for several members has as many turns in a row.
 *
 * @module
 */
import type { SharedTarget, Target } from '../../routing/topic-route.ts';
import type { Readiness, Receiver } from '../delivery/receiver.ts';

/** At most this many receivers of a shared subscription are examined to find one that is ready. */
const sharedCandidatesMax = 64;

/** The receiver whose turn it is; undefined if no receiver has a member. */
export function chooseMember<R extends Pick<Receiver, 'readiness'>>({
  members,
  turn,
}: Pick<SharedTarget<R>, 'members' | 'turn'>): Target<R> | undefined {
  const count = members.length;
  const start = turn.next % count;
  let best: Target<R> | undefined;
  let bestIndex = start;
  let bestRank = 0;
  let bestMembers = 0;
  for (let step = 0; step < count && step < sharedCandidatesMax; step++) {
    const index = (start + step) % count;
    const member = members[index];
    if (member === undefined) continue;
    const { readiness } = member.subscriber;
    const rank = rankOf(readiness);
    if (rank <= bestRank) continue;
    best = member;
    bestIndex = index;
    bestRank = rank;
    bestMembers =
      rank === ready ? readiness.ready : rank === busy ? readiness.busy : readiness.offline;
    if (rank === ready) break;
  }
  // A receiver that was passed over has lost the rest of its turns.
  const taken = bestIndex === start ? turn.taken + 1 : 1;
  const isOver = taken >= bestMembers;
  turn.next = isOver ? bestIndex + 1 : bestIndex;
  turn.taken = isOver ? 0 : taken;
  return best;
}

const ready = 3;
const busy = 2;

/** The higher, the sooner one of its members can send; 0: it has no members. */
function rankOf(readiness: Readiness): number {
  if (readiness.ready > 0) return ready;
  if (readiness.busy > 0) return busy;
  return readiness.offline > 0 ? 1 : 0;
}
