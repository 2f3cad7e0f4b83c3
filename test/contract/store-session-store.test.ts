import { join } from 'node:path';
import test from 'ava';
import { openDurableStore } from '../../broker/store/durable-store.ts';
import { openMemoryStore } from '../../broker/store/memory-store.ts';
import { sessionStoreContract } from '../support/store-contract.ts';
import { tempFolder } from '../support/temp-folder.ts';

sessionStoreContract({
  test,
  kind: 'memory store',
  durable: false,
  openHome: (_t, { limits, clock }) => ({
    open: () => Promise.resolve(openMemoryStore({ limits, clock })),
    clock,
  }),
});

sessionStoreContract({
  test,
  kind: 'durable store',
  durable: true,
  openHome: (t, { limits, clock }) => {
    const path = join(tempFolder(t), 'broker', 'store.sqlite');
    return { open: () => openDurableStore({ path, limits, clock }), clock };
  },
});
