/** Errors of the command line. @module */
import { errors } from './error-spec.ts';

export const cliErrors = errors({
  usage: {
    title: 'The command was not understood',
    advice: 'See flotilla --help, or --help behind the command.',
    exit: 2,
  },
  'state-in-use': {
    title: 'Another process works on this state folder',
    advice: 'Stop it first, or use another folder with --state.',
  },
  'service-not-running': {
    title: 'No enrollment service runs on this state folder',
    advice: 'Start one with flotilla up, or name one with --url.',
  },
  'broker-not-running': {
    title: 'No broker runs on this state folder',
    advice: 'Start one with flotilla up, or name one with --mqtts host:port.',
  },
  'output-exists': {
    title: 'The folder already holds an identity',
    advice: 'Choose another folder with --out, or renew it with flotilla device renew.',
    exit: 2,
  },
  'input-unreadable': {
    title: 'A file that was named cannot be read',
    advice: 'Check the path and the permissions.',
    exit: 2,
  },
  'identity-unreadable': {
    title: 'The identity in this folder cannot be used',
    advice: 'Check that key.pem, chain.pem and ca.pem are there and belong together.',
    exit: 2,
  },
});
