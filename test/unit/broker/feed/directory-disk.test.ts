import test from 'ava';
import { join } from 'node:path';
import { Directory } from '../../../../broker/feed/broker-directory.ts';
import { DirectoryFile, type DirectoryDisk } from '../../../../broker/feed/directory-file.ts';
import { FeedClient } from '../../../../broker/feed/feed-client.ts';
import { openAppendFile } from '../../../../core/append-file.ts';
import { writeFileAtomic } from '../../../../core/atomic-file.ts';
import { systemClock } from '../../../../core/clock.ts';
import { parseDeviceId } from '../../../../core/device-id.ts';
import { silentLog } from '../../../../core/log.ts';
import type { DirectoryEntry } from '../../../../core/protocol/feed.ts';
import { TestFeed } from '../../../support/broker-feed.ts';
import { tempFolder } from '../../../support/temp-folder.ts';
import { testCa } from '../../../support/test-ca.ts';
import { until } from '../../../support/until.ts';

const entry = (id: string, status: DirectoryEntry['status'] = 'active'): DirectoryEntry => ({
  id: parseDeviceId(id),
  role: 'device',
  status,
  group: null,
  attributes: {},
  certificates: [],
});

/** A disk that can be full: a change is then written in part. */
function fillableDisk(): DirectoryDisk & { isFull: boolean } {
  const disk = {
    isFull: false,
    async openFile(path: string) {
      const file = await openAppendFile(path);
      return {
        ...file,
        async append(bytes: Buffer, offset: number) {
          await file.append(disk.isFull ? bytes.subarray(0, 20) : bytes, offset);
          if (disk.isFull) throw new Error('ENOSPC');
        },
      };
    },
    writeFile: (path: string, content: AsyncIterable<string>) =>
      disk.isFull ? Promise.reject(new Error('ENOSPC')) : writeFileAtomic(path, content),
  };
  return disk;
}

test('a change that cannot be saved is in force, confirmed only after it is saved, and later changes survive', async (t) => {
  const ca = testCa();
  const names = ['localhost'];
  const feed = new TestFeed(ca, ca.issue({ profile: 'server', commonName: 'enrollment', names }));
  await feed.listen();
  t.teardown(() => feed.close());
  const broker = ca.issue({ profile: 'broker', commonName: 'broker-1' });
  const path = join(tempFolder(t), 'directory.json');
  const disk = fillableDisk();
  const directory = new Directory();
  const confirmed: number[] = [];
  const client = new FeedClient({
    url: feed.url,
    credentials: () => ({ ca: ca.ca, cert: broker.cert, key: broker.key }),
    directory,
    file: new DirectoryFile(path, disk),
    reporter: {
      applied: (_epoch, sequence) => void confirmed.push(sequence),
      connectedAgain: () => undefined,
    },
    clock: systemClock,
    log: silentLog,
    random: () => 0.5,
    changed: () => 0,
    asked: () => undefined,
    fleetPolicy: () => undefined,
  });
  client.start();
  t.teardown(() => client.stop());
  for (const id of ['x', 'y', 'z']) feed.set(entry(id));
  await until('all are known', () => confirmed.includes(feed.sequence) || undefined);
  disk.isFull = true;
  feed.set(entry('x', 'revoked'));
  const revoked = feed.sequence;
  await until('x is revoked', () => directory.get('x')?.status === 'revoked' || undefined);
  await until('the failure is noticed', () => !client.saved || undefined);
  t.false(confirmed.includes(revoked), 'not before it is on the disk');
  feed.set(entry('y', 'revoked'));
  disk.isFull = false;
  await until('both are confirmed', () => confirmed.includes(feed.sequence) || undefined);
  t.true(confirmed.includes(revoked));
  feed.set(entry('z', 'revoked'));
  await until('z is confirmed', () => confirmed.includes(feed.sequence) || undefined);
  t.true(client.saved);
  const stored = await new DirectoryFile(path).read();
  t.deepEqual(
    [...(stored?.entries.values() ?? [])].map(({ status }) => status),
    ['revoked', 'revoked', 'revoked'],
  );
});
