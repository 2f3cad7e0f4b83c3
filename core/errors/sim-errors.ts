/** Errors of sim. @module */
import { errors } from './error-spec.ts';

export const simErrors = errors({
  'plan-unreadable': {
    title: 'The plan cannot be read',
    advice: 'Check the path, the permissions and the YAML syntax at the line and column named.',
    exit: 2,
  },
  'plan-invalid': {
    title: 'The plan is not valid',
    advice:
      'Correct the place named; flotilla sim init writes a commented plan, docs/plan.schema.json describes every key.',
    exit: 2,
  },
  'sim-target-unreachable': {
    title: 'The broker cannot be reached',
    advice: 'Check that it runs, the host and port of --mqtts, and the firewall.',
  },
  'sim-target-untrusted': {
    title: 'The broker did not prove its identity',
    advice:
      'The CA given does not vouch for its server certificate, or the certificate names another host: check --ca (or ca.pem in the folder of --certs) and the host of --mqtts.',
  },
  'sim-target-refused': {
    title: 'The broker refuses the certificates of the simulation',
    advice:
      'Check that it trusts the CA that signed them, that they have not expired, and that the client id may be used with them.',
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
      'Raise the limit in this shell with ulimit -n and the number named (root may raise the hard limit), use more workers, or fewer devices.',
  },
  'sim-ports': {
    title: 'There are not enough local ports for this plan',
    advice:
      'Give more source addresses (run.sourceAddresses, from 127.0.0.0/8 for a local broker), or widen net.ipv4.ip_local_port_range.',
  },
  'sim-worker-failed': {
    title: 'A worker process of the simulator ended before its time',
    advice:
      'The cause above says why; on an out-of-memory kill use fewer devices or client: light.',
  },
  'sim-agent-missing': {
    title: 'An agent of the simulation does not answer',
    advice:
      'Start flotilla sim agent on that host with its own device certificate and check its name.',
  },
  'sim-replay-unreadable': {
    title: 'The file of a replay payload cannot be used',
    advice: 'Give a CSV file with a header line, or JSON lines, of at most 64 MiB.',
    exit: 2,
  },
  'sim-phase-unsupported': {
    title: 'A phase of the plan needs a Flotilla enrollment service',
    advice:
      'Run against a Flotilla (--state or --url), or take the phase out of the plan for this broker.',
    exit: 2,
  },
  'sim-report-unreadable': {
    title: 'This is not the report of a simulation',
    advice: 'Give the report.json that flotilla sim run --report DIR wrote.',
    exit: 2,
  },
});
