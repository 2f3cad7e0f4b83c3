/**
 * The paths in the state folder. No other module knows the names.
 *
 * ```
 * flotilla.yaml  policy.yaml
 * ca/      root.pem root.key.pem root.crl.pem issuer.pem issuer.key.pem service.pem cmp.key.pem passphrase
 *          issuers/ withdrawn/ requests/ roots/ ocsp/                   (enrollment only)
 * enroll/  tls/ tls-rsa/ registry/ audit/                               (enrollment only)
 * admin/   key.pem cert.pem chain.pem ca.pem                            (for the command line)
 * broker/  identity/{key,cert,chain,ca}.pem identity-rsa/ directory.json store.sqlite store-index.sqlite
 *          partitions/
 * sim/     keys and certificates of the simulator
 * simulations/  plans and reports of the runs that were started from the console
 * run/     enroll.json broker.json: the addresses of the running services; broker.sock, locks; cluster.json
 * cluster/ database/ database.log, and a state folder for each process of `up --nodes`
 * ```
 *
 * @module
 */
import { join } from 'node:path';

export const defaultStateFolder = '.flotilla';

/** The four files of an identity, as `device enroll` writes them. */
export interface IdentityFiles {
  /** PKCS#8, mode 0600. */
  readonly key: string;
  /** The leaf. */
  readonly cert: string;
  /** Leaf, then issuer. */
  readonly chain: string;
  /** Root, then issuer: the CAs that the owner of the identity trusts. */
  readonly ca: string;
}

/** The paths of the files of an identity in a folder. */
export function identityFiles(folder: string): IdentityFiles {
  return {
    key: join(folder, 'key.pem'),
    cert: join(folder, 'cert.pem'),
    chain: join(folder, 'chain.pem'),
    ca: join(folder, 'ca.pem'),
  };
}

/** All paths below one state folder. */
export interface StateFolder {
  readonly root: string;
  readonly config: string;
  readonly policy: string;
  readonly ca: {
    readonly folder: string;
    readonly rootCert: string;
    readonly rootKey: string;
    readonly rootCrl: string;
    readonly issuerCert: string;
    readonly issuerKey: string;
    /** The issuer that signs the certificates of services, brokers, administrators and servers. */
    readonly serviceCert: string;
    /** The self-signed issuer of devices that are servers as well. */
    readonly deviceServersCert: string;
    /** Every trusted issuer, one folder each. */
    readonly issuers: string;
    /** Issuers that were withdrawn because their key is in other hands. */
    readonly withdrawn: string;
    /** Keys of issuers whose certificate is requested from another CA. */
    readonly requests: string;
    /** The former root and the next one, with their cross certificates. */
    readonly roots: string;
    /** The responders that answer OCSP requests about issuers, one folder for each root. */
    readonly rootOcsp: string;
    /** The key that makes the secrets of tokens for CMP. */
    readonly cmpKey: string;
    readonly passphrase: string;
  };
  readonly enroll: {
    readonly folder: string;
    readonly tls: string;
    /** The RSA certificate beside that of `tls`, when it is enabled. */
    readonly tlsRsa: string;
    readonly registry: string;
    readonly audit: string;
    /** The highest CRL number that may have been used. */
    readonly crlNumber: string;
  };
  readonly admin: string;
  readonly broker: {
    readonly folder: string;
    readonly identity: string;
    /** The RSA certificate beside the identity, when it is enabled. */
    readonly rsaIdentity: string;
    readonly directory: string;
    readonly store: string;
    /** The index beside a journal in a database: each start creates it again. */
    readonly storeIndex: string;
    /** The indexes of the partitions of a cluster, `p0.sqlite` and so on. */
    readonly partitionIndexes: string;
    /** The fleet's policy, as it came over the feed. */
    readonly fleetPolicy: string;
  };
  readonly sim: string;
  readonly simulations: string;
  readonly run: {
    readonly folder: string;
    readonly enroll: string;
    readonly broker: string;
    /** The socket through which commands ask the running broker. */
    readonly brokerControl: string;
    /** The processes of the running cluster. */
    readonly cluster: string;
  };
  /** Of a cluster on this machine. */
  readonly cluster: {
    readonly folder: string;
    /** The files and the socket of the database, or a link to them. */
    readonly database: string;
    readonly databaseLog: string;
    /** The state folder of the first enrollment instance, which each cluster has. */
    readonly firstInstance: string;
  };
}

/** Returns the layout below `root` without creating anything. */
export function stateFolder(root: string): StateFolder {
  const at = (...parts: string[]): string => join(root, ...parts);
  return {
    root,
    config: at('flotilla.yaml'),
    policy: at('policy.yaml'),
    ca: {
      folder: at('ca'),
      rootCert: at('ca', 'root.pem'),
      rootKey: at('ca', 'root.key.pem'),
      rootCrl: at('ca', 'root.crl.pem'),
      issuerCert: at('ca', 'issuer.pem'),
      issuerKey: at('ca', 'issuer.key.pem'),
      serviceCert: at('ca', 'service.pem'),
      deviceServersCert: at('ca', 'device-servers.pem'),
      issuers: at('ca', 'issuers'),
      withdrawn: at('ca', 'withdrawn'),
      requests: at('ca', 'requests'),
      roots: at('ca', 'roots'),
      rootOcsp: at('ca', 'ocsp'),
      cmpKey: at('ca', 'cmp.key.pem'),
      passphrase: at('ca', 'passphrase'),
    },
    enroll: {
      folder: at('enroll'),
      tls: at('enroll', 'tls'),
      tlsRsa: at('enroll', 'tls-rsa'),
      registry: at('enroll', 'registry'),
      audit: at('enroll', 'audit'),
      crlNumber: at('enroll', 'crl-number'),
    },
    admin: at('admin'),
    broker: {
      folder: at('broker'),
      identity: at('broker', 'identity'),
      rsaIdentity: at('broker', 'identity-rsa'),
      directory: at('broker', 'directory.json'),
      store: at('broker', 'store.sqlite'),
      storeIndex: at('broker', 'store-index.sqlite'),
      partitionIndexes: at('broker', 'partitions'),
      fleetPolicy: at('broker', 'fleet-policy.yaml'),
    },
    sim: at('sim'),
    simulations: at('simulations'),
    run: {
      folder: at('run'),
      enroll: at('run', 'enroll.json'),
      broker: at('run', 'broker.json'),
      brokerControl: at('run', 'broker.sock'),
      cluster: at('run', 'cluster.json'),
    },
    cluster: {
      folder: at('cluster'),
      database: at('cluster', 'database'),
      databaseLog: at('cluster', 'database.log'),
      firstInstance: at('cluster', 'enroll-1'),
    },
  };
}
