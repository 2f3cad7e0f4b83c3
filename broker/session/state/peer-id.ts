/**
 * The client ids of the sessions of other partitions. No client can have one, and no identity is named like that.
 *
 * @module
 */

/** The name of the partition follows. */
export const peerIdPrefix = '$peer/';

/** Whether a client id is reserved for another partition. */
export function isPeerId(clientId: string): boolean {
  return clientId.startsWith(peerIdPrefix);
}
