/** Errors of the command line. @module */
import { errors } from './error-spec.ts';

export const cliErrors = errors({
  usage: {
    title: 'The command was not understood',
    advice: 'Run flotilla --help, or add --help to the command.',
    exit: 2,
  },
  'option-refused': {
    title: 'The enrollment service does not accept this value',
    advice: 'Correct the named option; --help describes it.',
    exit: 2,
  },
  'allocator-missing': {
    title: 'The setting memory.allocator demands jemalloc, and it could not be loaded',
    advice:
      'Install it (Debian and Ubuntu: libjemalloc2; Fedora and Alpine: jemalloc), or set memory.allocator to auto or system.',
    exit: 1,
  },
  'audit-elsewhere': {
    title: 'This state folder has no audit log',
    advice:
      'The audit log is on the machine of the enrollment service: run the command there. An administrator reads it from another machine with flotilla audit tail --url URL.',
    exit: 1,
  },
  'cluster-postgres-missing': {
    title: 'PostgreSQL, which flotilla up --nodes needs, is not on this machine',
    advice:
      'Install it with: apt install postgresql (Debian, Ubuntu), or name a database with --database postgres://user@host/name.',
    exit: 2,
  },
  'cluster-postgres-user': {
    title: 'PostgreSQL does not run as root, and this machine has no user postgres',
    advice:
      'Start flotilla up --nodes as another user, create the user postgres, or name a database with --database postgres://user@host/name.',
    exit: 2,
  },
  'cluster-database-failed': {
    title: 'The database of the cluster does not start',
    advice: 'Read the end of cluster/database.log in the state folder.',
    exit: 1,
  },
  'cluster-node-failed': {
    title: 'A process of the cluster does not start',
    advice:
      'The detail names its folder and its last message. Start it alone to see all of them, with --log-level info.',
    exit: 1,
  },
  'cluster-node-name': {
    title: 'Another node of the cluster has this name',
    advice:
      'Give each node a name of its own. A node that was killed loses its name after five seconds: then start this one again.',
    exit: 1,
  },
  'cluster-needs-folder': {
    title: 'This state folder has a registry or sessions in files, which a cluster would not use',
    advice: 'Give flotilla up --nodes a folder of its own with --state. Nothing was changed.',
    exit: 2,
  },
  'cluster-state': {
    title: 'This state folder belongs to a cluster',
    advice:
      'Start it with flotilla up --nodes 2, which continues with its database, or use another folder with --state.',
    exit: 2,
  },
  'cluster-not-configured': {
    title: 'The settings of this state folder name no database of brokers',
    advice:
      'Name the state folder of a broker with --state, or set broker.database as for the brokers. A cluster that flotilla up --nodes started must be running.',
    exit: 2,
  },
  'cluster-without-partitions': {
    title: 'The database has no cluster of several active brokers',
    advice:
      'Only brokers with the setting cluster.partitions are nodes, and the database has them after their first start. Without it, flotilla status shows which broker is active.',
    exit: 1,
  },
  'node-unknown': {
    title: 'The cluster has no broker with this name',
    advice:
      'Run flotilla node list, which shows the brokers. The name is that of the identity of the broker.',
    exit: 1,
  },
  'node-alone': {
    title: 'No other broker could take over the partitions',
    advice:
      'Nothing was changed. Start another broker first, or let one that was drained hold partitions again with flotilla node resume.',
    exit: 1,
  },
  'node-drain-unfinished': {
    title: 'The broker still holds partitions after the time that was allowed',
    advice:
      'It goes on. Run the command again to wait longer, or flotilla node resume to end it. flotilla node list shows whether the other brokers work.',
    exit: 1,
  },
  'state-in-use': {
    title: 'Another process is using this state folder',
    advice: 'Stop it first, or use another folder with --state.',
    exit: 1,
  },
  'run-file-stale': {
    title: 'A process ended without removing its file in the state folder',
    advice: 'It was killed or crashed: read the end of its log. The next start replaces the file.',
    exit: 1,
  },
  'registry-behind-broker': {
    title: 'The broker knows certificates or a state that the registry does not have',
    advice:
      'An older backup was probably restored: start the services; flotilla reconcile shows what differs and applies it again.',
    exit: 1,
  },
  'identity-in-use': {
    title: 'Another process is renewing this identity',
    advice: 'Wait until it has finished, then try again if it did not succeed.',
    exit: 1,
  },
  'renewal-hook-failed': {
    title: 'The certificate was renewed, but the program to run after it failed',
    advice: 'Run the program of --hook by hand, and check why it failed.',
    exit: 1,
  },
  'service-not-running': {
    title: 'No enrollment service runs on this state folder',
    advice: 'Start one with flotilla up, or specify one with --url.',
    exit: 1,
  },
  'broker-not-running': {
    title: 'No broker runs on this state folder',
    advice: 'Start one with flotilla up, or specify one with --mqtts host:port.',
    exit: 1,
  },
  'output-exists': {
    title: 'The folder already contains an identity',
    advice: 'Choose another folder with --out, or renew it with flotilla device renew.',
    exit: 2,
  },
  'input-unreadable': {
    title: 'An input file cannot be read',
    advice: 'Check the path and the permissions.',
    exit: 2,
  },
  'allow-list-invalid': {
    title: 'A line of the list of allowed devices is not a serial number',
    advice:
      'Write one serial number of a factory certificate per line, in hexadecimal as openssl x509 -serial prints it, or a device id (with name= in front if it has no digit). Lines that begin with # are comments. Nothing was registered.',
    exit: 2,
  },
  'allow-list-binary': {
    title: 'The list of allowed devices is not a text file',
    advice:
      'Pass a text file in UTF-8 with one serial number per line to --allow. The CA certificate belongs to --cert. Nothing was registered.',
    exit: 2,
  },
  'allow-list-too-long': {
    title: 'The list of allowed devices is too long',
    advice: 'Register the CA with --approval or without a list. Nothing was registered.',
    exit: 2,
  },
  'identity-unreadable': {
    title: 'The identity in this folder cannot be used',
    advice: 'Check that key.pem, chain.pem and ca.pem are there and belong together.',
    exit: 2,
  },
  'broker-unreachable': {
    title: 'The broker cannot be reached',
    advice: 'Check that the broker is running, the host and port of --mqtts, and the firewall.',
    exit: 1,
  },
  'confirmation-missing': {
    title: 'The change of many devices was not confirmed',
    advice: 'Run the command on a terminal, or add --yes; --dry-run only counts.',
    exit: 2,
  },
  'backup-failed': {
    title: 'The backup could not be made',
    advice:
      'Nothing was written. Try again; if the broker does not respond, restart it or stop the services first.',
    exit: 1,
  },
  'backup-damaged': {
    title: 'The backup is damaged or was changed',
    advice:
      'Nothing was restored. Use another backup, and compare its SHA-256 with the recorded one.',
    exit: 1,
  },
  'output-file-exists': {
    title: 'The output file exists already',
    advice: 'Choose another name, or add --replace.',
    exit: 2,
  },
  'state-exists': {
    title: 'The folder already contains a state',
    advice:
      'Restore into another folder with --state, or add --replace to move the existing state aside.',
    exit: 2,
  },
  'clock-differs': {
    title: 'The clocks of this machine and of the service differ',
    advice: 'Set the clock (NTP): certificates look expired or not valid yet with a wrong one.',
    exit: 1,
  },
  'broker-untrusted': {
    title: 'The broker did not prove its identity',
    advice:
      'The ca.pem of the folder did not issue its certificate: check that --mqtts names the broker of the same Flotilla.',
    exit: 1,
  },
  'broker-refused': {
    title: 'The broker refused the connection',
    advice:
      'On the server, flotilla audit tail shows the reason: a revoked or unknown certificate, or a client id that the certificate does not allow.',
    exit: 1,
  },
  'broker-answer-invalid': {
    title: 'The answer is not that of an MQTT broker with TLS',
    advice:
      'Another service listens at this address. Check the host and port of --mqtts: MQTT over TLS has port 8883 by default.',
    exit: 1,
  },
  'server-certificate-time': {
    title: 'At the time of this machine, the certificate of the server is not valid',
    advice:
      'Compare the time of this machine with the real time, and set the clock (NTP). If the clock is right, flotilla status on the server shows why its certificate was not renewed.',
    exit: 1,
  },
  'broker-connection-lost': {
    title: 'The broker ended the connection',
    advice:
      'The detail contains the reason. Another connection with the same client id ends this one: use --id for a second one.',
    exit: 1,
  },
  'publish-refused': {
    title: 'The broker did not accept the message',
    advice: 'Run flotilla policy explain to see the rule for this topic.',
    exit: 1,
  },
  'subscribe-refused': {
    title: 'The broker did not accept the subscription',
    advice: 'Run flotilla policy explain to see the rule for this topic filter.',
    exit: 1,
  },
});
