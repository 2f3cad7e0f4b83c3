/** Errors of the files that a broker keeps on its disk. @module */
import { errors } from './error-spec.ts';

export const storeErrors = errors({
  'directory-damaged': {
    title: 'The directory that the broker stored is damaged',
    advice:
      'Let the broker reach the enrollment service at its next start: it then gets the whole directory again.',
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
