/** Errors of the simulator. @module */
import { errors } from './error-spec.ts';

export const simErrors = errors({
  'plan-unreadable': {
    title: 'The plan cannot be read',
    advice: 'Check the path, the permissions and the YAML syntax at the given line and column.',
    exit: 2,
  },
  'plan-invalid': {
    title: 'The plan is not valid',
    advice:
      'Correct it at the given position; flotilla sim init writes a commented plan, docs/plan.schema.json describes every key.',
    exit: 2,
  },
  'sim-target-unreachable': {
    title: 'The broker cannot be reached',
    advice: 'Check that the broker is running, the host and port of --mqtts, and the firewall.',
    exit: 1,
  },
  'sim-target-untrusted': {
    title: 'The broker did not prove its identity',
    advice:
      'The given CA did not issue its server certificate, or the certificate names another host: check --ca (or ca.pem in the folder of --certs) and the host of --mqtts.',
    exit: 1,
  },
  'sim-target-refused': {
    title: 'The broker rejects the certificates of the simulation',
    advice:
      'Check that it trusts the CA that signed them, that they have not expired, and that the client id may be used with them.',
    exit: 1,
  },
  'sim-certificate-missing': {
    title: 'A certificate for a device of the plan is missing',
    advice:
      'Put {id}/key.pem and {id}/chain.pem (or {id}.key and {id}.crt) into the folder, or one key.pem and chain.pem for all; flotilla sim prepare makes them.',
    exit: 2,
  },
  'sim-certificate-unusable': {
    title: 'A certificate of the simulation cannot be used',
    advice: 'Check that key and certificate belong together and that it has not expired.',
    exit: 2,
  },
  'sim-file-descriptors': {
    title: 'A process may not open enough files for this plan',
    advice:
      'Raise the limit in this shell with ulimit -n and the given number (root may raise the hard limit), use more workers, or use fewer devices.',
    exit: 1,
  },
  'sim-ports': {
    title: 'There are not enough local ports for this plan',
    advice:
      'Configure more source addresses (run.sourceAddresses, from 127.0.0.0/8 for a local broker), or widen net.ipv4.ip_local_port_range.',
    exit: 1,
  },
  'sim-worker-failed': {
    title: 'A worker process of the simulator ended unexpectedly',
    advice: 'See the cause above; after an out-of-memory kill, use fewer devices or client: light.',
    exit: 1,
  },
  'sim-agent-missing': {
    title: 'An agent of the simulation does not respond',
    advice:
      'Start flotilla sim agent on that host with its own device certificate, and check its name.',
    exit: 1,
  },
  'sim-replay-unreadable': {
    title: 'The file of a replay payload cannot be used',
    advice: 'Provide a CSV file with a header line, or JSON lines, of at most 64 MiB.',
    exit: 2,
  },
  'sim-phase-unsupported': {
    title: 'A phase of the plan needs a Flotilla enrollment service',
    advice:
      'Run against a Flotilla (--state or --url), or remove the phase from the plan for this broker.',
    exit: 2,
  },
  'sim-report-unreadable': {
    title: 'This is not a simulation report',
    advice: 'Use the report.json that flotilla sim run --report DIR wrote.',
    exit: 2,
  },
});
