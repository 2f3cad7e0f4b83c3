/** Errors of a PostgreSQL database: that of the registry, or that of the sessions of a broker. @module */
import { errors } from './error-spec.ts';

export const databaseErrors = errors({
  'database-package-missing': {
    title: 'The package pg is not installed',
    advice:
      'PostgreSQL needs it: run npm install pg beside flotilla, or remove enroll.database and broker.database.',
    exit: 1,
  },
  'database-unreachable': {
    title: 'The database cannot be reached',
    advice:
      'Check that PostgreSQL runs and can write, and the host, port and TLS settings in enroll.database or broker.database.',
    exit: 1,
  },
  'database-refused': {
    title: 'The database refuses this service',
    advice:
      'Check user, password file and database name in enroll.database or broker.database; the user must be allowed to create a schema in the database.',
    exit: 1,
  },
  'database-unsuitable': {
    title: 'The database is not suitable',
    advice: 'Use PostgreSQL 14 or newer and a database with the encoding UTF8.',
    exit: 1,
  },
  'database-version': {
    title: 'The tables in the database were made by another version',
    advice: 'Run the same version on all instances. Nothing was changed.',
    exit: 1,
  },
  'database-in-use': {
    title: 'Another instance is active',
    advice:
      'Make the change at the active instance, or stop it first. flotilla enroll serve and flotilla broker serve wait until they may take over.',
    exit: 1,
  },
  'database-fenced': {
    title: 'Another instance has taken over',
    advice:
      'Start this one again: it waits as the standby, or takes partitions again. If no other instance runs, an older state of the database was probably restored.',
    exit: 1,
  },
  'database-ca-differs': {
    title: 'The database belongs to another CA than this state folder',
    advice:
      'Name the database of this fleet in enroll.database or broker.database. For the registry, copy the ca folder of the instance that was active last.',
    exit: 1,
  },
  'registry-not-imported': {
    title: 'The state folder has a registry in files, and enroll.database is set',
    advice:
      'Run flotilla cluster import to move it into a new database. To go on with the registry of the database, move the named folder away.',
    exit: 1,
  },
  'registry-import-refused': {
    title: 'The database has a registry already',
    advice:
      'Nothing was changed. Name a new database in enroll.database, or move enroll/registry away to go on with the registry of the database.',
    exit: 1,
  },
  'registry-import-unfinished': {
    title: 'An import of a registry into the database was interrupted',
    advice:
      'Run flotilla cluster import again where the files are: it begins again. To go on with the files, remove enroll.database from the settings.',
    exit: 1,
  },
  'registry-exported': {
    title: 'The registry of the database was exported to files',
    advice:
      'Remove enroll.database from the settings and use the files. To return to a database, import them into a new one with flotilla cluster import.',
    exit: 1,
  },
  'export-target-exists': {
    title: 'The target of the export has files already',
    advice:
      'Name a new state folder with --to. After an interrupted export of a registry, delete the folder that it has begun to write.',
    exit: 1,
  },
  'export-nothing': {
    title: 'There is nothing to export',
    advice:
      'Set enroll.database, broker.database or both to the database that has the registry or the sessions.',
    exit: 1,
  },
  'import-nothing': {
    title: 'There is nothing to import',
    advice:
      'Set enroll.database, broker.database or both, and name the state folder that has the files. Files that were imported have the ending .imported.',
    exit: 1,
  },
});
