/** Errors of the command line. @module */
import { errors } from './error-spec.ts';

export const cliErrors = errors({
  usage: {
    title: 'The command was not understood',
    advice: 'Run flotilla --help, or add --help to the command.',
    exit: 2,
  },
  'state-in-use': {
    title: 'Another process is using this state folder',
    advice: 'Stop it first, or use another folder with --state.',
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
  'identity-unreadable': {
    title: 'The identity in this folder cannot be used',
    advice: 'Check that key.pem, chain.pem and ca.pem are there and belong together.',
    exit: 2,
  },
});
