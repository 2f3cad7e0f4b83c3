/**
 * A client connection as its neighbors see it.
 *
 * @module
 */
import type { Connection } from '../../contracts/session-layer.ts';
import type { WireHandlers } from '../../contracts/connection-wire.ts';
import type { SessionOwner } from '../state/session.ts';
import type { CommitGateOwner } from './commit-gate.ts';
import type { ReaderOwner } from './connection-reader.ts';
import type { WriterOwner } from './connection-writer.ts';
import type { DeliveryConnection } from './delivery-sender.ts';

/**
 * - {@link Connection}: the broker (admission, policy, revocation) outside of the session layer;
 * - {@link SessionOwner}: its session, which sends messages through it;
 * - {@link CommitGateOwner}: its gate, and the scheduler, which flushes it at the end of a turn and after a commit;
 * - {@link WireHandlers}: the network;
 * - {@link ReaderOwner} and {@link WriterOwner}: its own read and write side;
 * - {@link DeliveryConnection}: the encoder of deliveries, and the client object of Aedes plug-ins.
 */
export interface ConnectionRoles
  extends
    Connection,
    SessionOwner,
    CommitGateOwner,
    WireHandlers,
    ReaderOwner,
    WriterOwner,
    DeliveryConnection {}
