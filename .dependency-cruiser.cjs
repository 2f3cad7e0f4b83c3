/** The import rules of the project. `tools/import-rules.ts` checks them and fails when it found no modules. */
const services = ['broker', 'enroll', 'device-sim'];
/** One importer for each big library: the folder, or the few files, that `where` matches. */
const only = (library, where, comment) => ({
  name: `${library}-has-one-importer`,
  severity: 'error',
  comment,
  from: { path: '^(core|certs|enroll|broker|device-sim|cli|console)/', pathNot: `^${where}` },
  to: { path: `(node_modules/${library}/|^(node:)?${library}$)` },
});

module.exports = {
  forbidden: [
    {
      name: 'core-imports-nothing-above',
      severity: 'error',
      from: { path: '^core/' },
      to: { path: '^(certs|enroll|broker|device-sim|cli|bench|test|tools)/' },
    },
    {
      name: 'certs-imports-core-only',
      severity: 'error',
      from: { path: '^certs/' },
      to: { path: '^(enroll|broker|device-sim|cli|bench|test|tools)/' },
    },
    ...services.map((service) => ({
      name: `${service}-imports-downwards-only`,
      severity: 'error',
      from: { path: `^${service}/` },
      to: {
        path: `^(${[...services.filter((other) => other !== service), 'cli', 'bench', 'test', 'tools'].join('|')})/`,
      },
    })),
    {
      name: 'nothing-imports-embed',
      severity: 'error',
      comment: 'embed/ is the public surface of the package; our own code imports the modules.',
      from: { path: '^(core|certs|enroll|broker|device-sim|cli|bench|tools)/' },
      to: { path: '^embed/' },
    },
    {
      name: 'console-runs-in-the-browser',
      severity: 'error',
      comment: 'console/ uses the API over the network, with its generated client.',
      from: { path: '^console/' },
      to: { path: '^(certs|enroll|broker|device-sim|cli|embed|bench|test|tools)/' },
    },
    {
      name: 'console-imports-types-of-core-only',
      severity: 'error',
      from: { path: '^console/' },
      to: {
        path: '^core/',
        pathNot: '^core/protocol/api-client\\.ts$',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'nothing-imports-console',
      severity: 'error',
      from: { path: '^(core|certs|enroll|broker|device-sim|cli|embed|bench|tools)/' },
      to: { path: '^console/' },
    },
    only('preact', 'console/'),
    only('@tanstack', 'console/screens/device-list/'),
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'nothing-imports-tests',
      severity: 'error',
      from: { path: '^(cli|bench|tools)/' },
      to: { path: '^test/' },
    },
    {
      name: 'no-folder-cycles',
      severity: 'error',
      comment: 'Two folders that import each other are one folder with a wall in it.',
      scope: 'folder',
      from: {},
      to: { circular: true },
    },
    {
      name: 'contracts-export-types-only',
      severity: 'error',
      comment: 'broker/contracts/ holds interfaces; a value there would pull code behind it.',
      from: { path: '^broker/' },
      to: { path: '^broker/contracts/', dependencyTypesNot: ['type-only'] },
    },
    only('aedes', 'broker/(session/(aedes|plugins|handlers)/|broker(-service)?\\.ts$)'),
    only('aedes-persistence', 'broker/session/aedes/'),
    only('ws', 'broker/listeners/'),
    only('prom-client', '(core|broker|enroll)/telemetry/'),
    only('sqlite', 'broker/(store|journal)/'),
    only('mqtt', '(device-sim/device|cli)/'),
    only('node-forge', 'certs/'),
    only('pkcs11js', 'certs/'),
    only('lowdb', 'enroll/registry/'),
    only('pg', 'core/database/'),
    only('fastify', 'enroll/http/'),
    only('commander', 'cli/'),
    only('tar', 'cli/backup/'),
    only('pino', 'core/log\\.ts$'),
    {
      name: 'resolvable',
      comment: 'pkcs11js is optional: a machine without a compiler does not have it',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '^pkcs11js$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.tsx', '.js', '.mjs', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
