/** Errors of the files that a broker keeps on its disk. @module */
import { errors } from './error-spec.ts';

export const storeErrors = errors({
  'directory-damaged': {
    title: 'The directory that the broker stored is damaged',
    advice:
      'Let the broker reach the enrollment service at its next start: it then gets the whole directory again.',
    exit: 1,
  },
  'journal-damaged': {
    title: 'The journal of the sessions in the database is incomplete',
    advice:
      'Nothing was changed. Restore the schema flotilla from a backup of the database. Without one, empty its broker tables; the sessions are then lost.',
    exit: 1,
  },
  'store-not-imported': {
    title: 'The state folder has sessions, and the database of the broker is another store',
    advice:
      'Run flotilla cluster import to move them into a new database. To go on with the sessions of the database, move the named file away, with its -wal file.',
    exit: 1,
  },
  'import-refused': {
    title: 'The database of the broker has sessions already',
    advice:
      'Nothing was changed. Name a new database in broker.database, or move the named file away to go on with the sessions of the database.',
    exit: 1,
  },
  'store-exported': {
    title: 'The sessions of the database were exported to a file',
    advice:
      'Remove broker.database and cluster.partitions from the settings and use the file. To return to a database, import the file into a new one with flotilla cluster import.',
    exit: 1,
  },
  'export-undelivered': {
    title: 'Messages between partitions are not delivered yet',
    advice:
      'Nothing was changed. Start the nodes, wait until flotilla status reports no failed check, and stop them with SIGTERM, one after the other. Then export again.',
    exit: 1,
  },
  'export-client-id-twice': {
    title: 'Two identities have sessions with the same client id',
    advice:
      'Nothing was changed. One broker has one session for each client id. Start the nodes, let one of both clients connect with another client id, and end its session: Clean Start with a session expiry of 0.',
    exit: 1,
  },
  'store-undivided': {
    title: 'The sessions in the database are not divided into partitions',
    advice:
      'Nothing was changed. Remove cluster.partitions to go on with these sessions, or name a new database in broker.database. flotilla cluster export and then import divide them.',
    exit: 1,
  },
  'store-divided': {
    title: 'The sessions in the database are divided into partitions',
    advice:
      'Nothing was changed. Set cluster.partitions to the number in the detail, as on the other nodes, or name a new database in broker.database.',
    exit: 1,
  },
  'cluster-partitions-differ': {
    title: 'The nodes of the cluster have different numbers of partitions',
    advice:
      'Nothing was changed. Set cluster.partitions to the number of the database: it never changes after the first start. Another number needs flotilla cluster export, and then import into a new database.',
    exit: 1,
  },
  'store-in-database': {
    title: 'The sessions of this state folder are in a database, and broker.database is not set',
    advice:
      'Set broker.database as before; flotilla cluster export moves the sessions back into a file. When that is done, or to go on without them, delete the named file or folder, which is only an index.',
    exit: 1,
  },
  'store-newer': {
    title: 'The session store was written by a newer version',
    advice: 'Run the version that wrote it, or move the file away; its sessions are then lost.',
    exit: 1,
  },
  'store-damaged': {
    title: 'The session store is damaged',
    advice:
      'Nothing was changed. Restore the file from a backup, or move it away together with its -wal file; its sessions are then lost.',
    exit: 1,
  },
  'store-in-use': {
    title: 'The session store is in use by another process',
    advice: 'Stop the other broker, or give this one its own state folder.',
    exit: 1,
  },
  'store-open-failed': {
    title: 'The session store cannot be opened',
    advice: 'Check the folder, its permissions and the free space on the disk.',
    exit: 1,
  },
});
