/** The import rules of the house. `tools/import-rules.ts` runs them and fails when they saw no module. */
const rooms = ['broker', 'enroll', 'device-sim'];
const only = (library, folder) => ({
  name: `${library}-only-in-${folder.replaceAll('/', '-')}`,
  severity: 'error',
  comment: `${library} has one importer: ${folder}/`,
  from: { path: '^(core|certs|enroll|broker|device-sim|cli)/', pathNot: `^${folder}/` },
  to: { path: `node_modules/${library}/` },
});

module.exports = {
  forbidden: [
    {
      name: 'core-is-the-ground-floor',
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
    ...rooms.map((room) => ({
      name: `${room}-imports-downwards-only`,
      severity: 'error',
      from: { path: `^${room}/` },
      to: {
        path: `^(${[...rooms.filter((other) => other !== room), 'cli', 'bench', 'test', 'tools'].join('|')})/`,
      },
    })),
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'nothing-imports-tests',
      severity: 'error',
      from: { path: '^(cli|bench|tools)/' },
      to: { path: '^test/' },
    },
    only('aedes', 'broker'),
    only('aedes-persistence', 'broker'),
    only('ws', 'broker'),
    only('mqtt', 'device-sim'),
    only('node-forge', 'certs'),
    only('lowdb', 'enroll/registry'),
    only('fastify', 'enroll'),
    only('commander', 'cli'),
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.mjs', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
