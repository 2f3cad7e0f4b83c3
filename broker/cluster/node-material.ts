/**
 * The certificates that nodes show one another, and what is read from them.
 *
 * @module
 */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { TlsFacts } from '../admission/admission.ts';
import { tlsFactsOf } from '../admission/tls-facts.ts';
import type { TlsMaterial } from '../certificates/tls-material.ts';

/** The own certificate, which is for clients and servers, and the CA certificates of the fleet. */
export interface NodeMaterial {
  readonly key: string;
  /** The leaf certificate, then its issuers, PEM. */
  readonly chain: string;
  readonly authorities: readonly X509Certificate[];
}

/** Decides about the certificate of a node. Returns the name of the broker; undefined: it is not admitted. */
export type AdmitsNode = (facts: TlsFacts) => string | undefined;

/** ALPN of connections between nodes. It changes when the frames do. */
export const nodeProtocol = 'flotilla-node/1';

/** What a listener for nodes shows. */
export function listenerMaterial({ key, chain, authorities }: NodeMaterial): TlsMaterial {
  return { key, chain, authorities: authorities.map(String), sessionTickets: false };
}

/** The name of a node whose handshake is complete, or why it is not admitted. */
export function nodeOf(
  socket: TLSSocket,
  authorities: readonly X509Certificate[],
  admits: AdmitsNode,
): { readonly name: string } | { readonly reason: string } {
  const facts = tlsFactsOf(socket, authorities);
  if (facts.chainError !== undefined) return { reason: facts.chainError };
  if (facts.tlsVersion !== 'TLSv1.3') return { reason: `protocol ${facts.tlsVersion}` };
  if (socket.alpnProtocol !== nodeProtocol) return { reason: 'not the protocol of nodes' };
  const name = admits(facts);
  if (name !== undefined) return { name };
  const claimed = facts.certificate?.commonName;
  return { reason: `not admitted: ${claimed?.ok === true ? claimed.id : 'no name'}` };
}

/** Why the node at a connection is not, or not any more, the one with this name; undefined if it is. */
export function refusalOf(
  socket: TLSSocket,
  expected: string,
  authorities: readonly X509Certificate[],
  admits: AdmitsNode,
): string | undefined {
  const found = nodeOf(socket, authorities, admits);
  if ('reason' in found) return found.reason;
  return found.name === expected ? undefined : `the node is ${found.name}, not ${expected}`;
}
