/**
 * One broker of the race test: claims client ids on command, and says which connections it has. It has no sessions:
 * what is tested is who owns them.
 *
 * Run: `node test/support/claim-race-child.ts URL NAME LOSS`. LOSS: the part of the notifications that is lost.
 *
 * @module
 */
import { PostgresClaims } from '../../broker/cluster/postgres-claims.ts';
import type { ClaimAnswer, SessionClaim } from '../../broker/contracts/session-claims.ts';
import { systemClock } from '../../core/clock.ts';
import { openClaimDatabase } from './claim-database.ts';
import { identityOf } from './session-world.ts';

const [url = '', name = '', loss = '0'] = process.argv.slice(2);
const live = new Map<string, { claim: SessionClaim }>();
const counts = { granted: 0, refused: 0, evicted: 0, failed: 0, hints: 0, lostHints: 0 };
const delays: number[] = [];
const opened = await openClaimDatabase(url, name);
const claims = await PostgresClaims.join({
  clock: systemClock,
  node: name,
  database: {
    query: (text, values) => opened.query(text, values),
    listen: (channel, notified) =>
      opened.listen(channel, (text) => {
        counts.hints++;
        if (Math.random() < Number(loss)) counts.lostHints++;
        else notified(text);
      }),
  },
  local: { refusalOf: () => undefined },
  evict(clientId) {
    counts.evicted++;
    close(clientId);
  },
  fenced() {
    for (const clientId of [...live.keys()]) close(clientId);
  },
  failed() {
    counts.failed++;
  },
});

function connectionOf(clientId: string): {
  identity: ReturnType<typeof identityOf>;
  clientId: string;
  protocolVersion: number;
} {
  return { identity: identityOf(clientId), clientId, protocolVersion: 5 };
}

function close(clientId: string): void {
  const closed = live.get(clientId);
  if (closed === undefined) return;
  live.delete(clientId);
  const connection = connectionOf(clientId);
  void claims.release({ claim: closed.claim, connection, clientId, sessionStays: true });
}

async function connect(clientId: string): Promise<void> {
  const startedMs = performance.now();
  const connection = connectionOf(clientId);
  const request = { connection, clientId, clean: false, isAssigned: false, connectionsMax: 4 };
  const answer: ClaimAnswer = await claims.claim(request);
  delays.push(performance.now() - startedMs);
  if ('refused' in answer) {
    counts.refused++;
    return;
  }
  counts.granted++;
  live.set(clientId, { claim: answer });
}

type Command =
  | { readonly kind: 'connect'; readonly clientId: string }
  | { readonly kind: 'report'; readonly clientIds: readonly string[] }
  | { readonly kind: 'end' };

let open = 0;
process.on('message', (command: Command) => {
  if (command.kind === 'connect') {
    open++;
    void connect(command.clientId).finally(() => open--);
  } else if (command.kind === 'report') {
    const sorted = delays.toSorted((one, other) => one - other);
    process.send?.({
      ...{ open, counts, live: command.clientIds.filter((clientId) => live.has(clientId)) },
      p50Ms: sorted[sorted.length >> 1],
      p99Ms: sorted[Math.floor(sorted.length * 0.99)],
    });
  } else {
    claims.close();
    void opened.close().finally(() => process.exit(0));
  }
});
process.send?.('ready');
