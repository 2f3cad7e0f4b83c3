/**
 * The records of the registry. All times are ms since 1970. Digests are lower-case hexadecimal; fingerprints
 * begin with `sha256:`.
 *
 * @module
 */
import type { DeviceId } from '../../core/device-id.ts';
import type { OperatorRole } from '../../core/protocol/operator-role.ts';
import type { RevocationReason } from '../../core/protocol/enrollment-api.ts';

/** One certificate of an identity. The certificate itself is not stored: its holder has it. */
export interface CertificateRecord {
  readonly serial: string;
  readonly fingerprint: string;
  /** The fingerprint of the SubjectPublicKeyInfo. */
  readonly keyFingerprint: string;
  /** The SubjectPublicKeyInfo, DER, base64: verifies the signature of a relayed renewal. */
  readonly key: string;
  /** The issuer's fingerprint. */
  readonly issuer: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /**
   * `retired`: a newer certificate was used for a connection. A retired one is no longer valid, but not
   * suspicious.
   */
  readonly status: 'active' | 'revoked' | 'retired';
  /** When it was retired; missing in rows of earlier versions. */
  readonly retiredAtMs?: number;
  /** When it was first used for a connection to a broker. */
  readonly seenAtMs?: number;
  /** The alternative names of a device that is also a server. */
  readonly names?: readonly string[];
  /**
   * Accepted after a restore from a broker's directory: its key is not known, so `key` is empty and
   * `keyFingerprint` belongs to no key.
   */
  readonly adopted?: true;
}

/** One identity: a device, or a service, administrator or broker. */
export interface DeviceRecord {
  readonly id: DeviceId;
  /** What it is: device, service, admin, broker or server. It never changes. */
  readonly role: string;
  /** The role in the policy that an operator gave it; absent: that of its kind. See assigned-role.ts. */
  readonly policyRole?: string | undefined;
  /** `pending`: registered, but not enrolled yet. */
  readonly status: 'pending' | 'active' | 'suspended' | 'revoked' | 'quarantined';
  /** Since when it has been suspended or quarantined without interruption. */
  readonly heldSinceMs?: number | undefined;
  readonly group: string | null;
  readonly attributes: Readonly<Record<string, string>>;
  /** The enrollment profile of its certificates. */
  readonly profile: string;
  /** The factory CA whose certificate enrolled it last; absent for devices that came another way. */
  readonly factory?: string | undefined;
  readonly createdAtMs: number;
  /** Oldest first; bounded by `certificatesPerIdentityMax`. */
  readonly certificates: readonly CertificateRecord[];
}

/** An enrollment token. The token itself is not stored, only its hash. */
export interface TokenRecord {
  /** SHA-256 over the token's 32 bytes. */
  readonly hash: string;
  /** Null: any identity that does not exist yet (a token for a group). */
  readonly device: DeviceId | null;
  readonly group: string | null;
  /** The role in the policy that it gives; absent: none. */
  readonly role?: string | undefined;
  readonly profile: string | null;
  /** Whether a token for a group is also for devices that exist in the group. */
  readonly reenrolls?: boolean | undefined;
  /** Of a token for CMP: what the token is derived from, together with a key that is not in the registry. */
  readonly cmpSeed?: string | undefined;
  readonly usesMax: number;
  readonly uses: number;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
}

/**
 * A certificate that was issued, for a repetition of the same request: a response can be lost. Kept for the
 * replay time only.
 */
export interface ReplayRecord {
  /** SHA-256 over the credential's name and the CSR. */
  readonly key: string;
  readonly device: DeviceId;
  readonly serial: string;
  /** DER, base64. */
  readonly certificate: string;
  /** The issuer's fingerprint. */
  readonly issuer: string;
  readonly expiresAtMs: number;
}

/** An enrollment request that waits for an operator. */
export interface RequestRecord {
  /** Hexadecimal, derived from the CSR: the same CSR is the same request. */
  readonly id: string;
  readonly device: DeviceId;
  /** DER, base64. */
  readonly csr: string;
  readonly keyFingerprint: string;
  readonly remoteAddress: string;
  readonly profile: string | null;
  /** The factory certificate of the request; null: none. */
  readonly factory: { readonly name: string; readonly serial: string } | null;
  readonly status: 'pending' | 'approved' | 'denied';
  readonly receivedAtMs: number;
  readonly expiresAtMs: number;
  readonly group: string | null;
  /** The role in the policy that the approval gives; absent: none. */
  readonly role?: string | undefined;
  readonly decidedBy: string | null;
}

/** A certificate that stays on the CRL until it expires, even if its holder's row is deleted. */
export interface RevocationRecord {
  readonly serial: string;
  readonly device: DeviceId;
  /** The issuer's fingerprint: the entry is on the CRL of this issuer. */
  readonly issuer: string;
  readonly keyFingerprint: string;
  readonly atMs: number;
  readonly reason: RevocationReason;
  readonly notAfterMs: number;
}

/** A compromised public key, which must never be certified again. */
export interface BlockedKeyRecord {
  readonly keyFingerprint: string;
  readonly device: DeviceId;
  readonly atMs: number;
}

/** A manufacturer's CA: its device certificates may request enrollment. */
export interface FactoryRecord {
  readonly name: string;
  /** PEM of the CA certificate. */
  readonly certificate: string;
  readonly fingerprint: string;
  readonly group: string | null;
  /** The role in the policy that its devices get; absent: none. */
  readonly role?: string | undefined;
  readonly profile: string | null;
  /** The serial numbers (hexadecimal) and common names that may enroll; null: all of this CA. */
  readonly allowed: readonly string[] | null;
  /** How the device id follows from a certificate (default: the common name). */
  readonly deviceId?: string | undefined;
  /** Whether each enrollment needs the approval of an operator. */
  readonly approval: boolean;
  /** Whether its certificates may also replace those of devices that it has not enrolled (default: no). */
  readonly takesOver?: boolean | undefined;
  readonly createdAtMs: number;
}

/** A person who uses the API. */
export interface OperatorRecord {
  readonly name: string;
  readonly role: OperatorRole;
  /** A disabled operator is known, but every credential is refused. */
  readonly disabled: boolean;
  readonly createdAtMs: number;
  readonly createdBy: string;
}

/** A key with which a program uses the API for an operator. The key itself is not stored. */
export interface ApiKeyRecord {
  /** SHA-256 over the key. */
  readonly hash: string;
  /** The first digits of the hash: names the key in lists. */
  readonly id: string;
  /** Given by the operator: names the key in the audit log. */
  readonly name: string;
  readonly operator: string;
  /** The key never has more rights than its operator. */
  readonly role: OperatorRole;
  /** Groups of operations that it is limited to; null: no limit. */
  readonly scopes: readonly string[] | null;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
}

/** A browser that is signed in, or a link that signs one in. */
export interface OperatorSessionRecord {
  /** SHA-256 over the secret: the cookie's value, or the token in the link. */
  readonly hash: string;
  /** A link becomes a session when it is used; then it is deleted. */
  readonly kind: 'session' | 'link';
  readonly operator: string;
  /**
   * Where the role comes from, on every call: the operator's record, the identity of the same name and its
   * certificate's role, or what the identity provider said at sign-in.
   */
  readonly source: 'operator' | 'identity' | 'provider';
  /** The role that the identity provider named; null for other sources. */
  readonly providerRole: OperatorRole | null;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
}

/** A text that operators edit, with one stored version: the fleet's policy. */
export interface DocumentRecord {
  readonly name: 'policy';
  readonly text: string;
  /** SHA-256 over the text, hexadecimal. */
  readonly sha256: string;
  readonly updatedAtMs: number;
  readonly updatedBy: string;
}

/** The tables of the registry and their record types. */
export interface Tables {
  readonly devices: DeviceRecord;
  readonly tokens: TokenRecord;
  readonly answers: ReplayRecord;
  readonly requests: RequestRecord;
  readonly revocations: RevocationRecord;
  readonly blockedKeys: BlockedKeyRecord;
  readonly factories: FactoryRecord;
  readonly operators: OperatorRecord;
  readonly apiKeys: ApiKeyRecord;
  readonly sessions: OperatorSessionRecord;
  readonly documents: DocumentRecord;
}
export type TableName = keyof Tables;

/** The key of a row. */
export const keyOf: { readonly [T in TableName]: (record: Tables[T]) => string } = {
  devices: (record) => record.id,
  tokens: (record) => record.hash,
  answers: (record) => record.key,
  requests: (record) => record.id,
  revocations: (record) => record.serial,
  blockedKeys: (record) => record.keyFingerprint,
  factories: (record) => record.name,
  operators: (record) => record.name,
  apiKeys: (record) => record.hash,
  sessions: (record) => record.hash,
  documents: (record) => record.name,
};
