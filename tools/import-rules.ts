/**
 * Checks the import rules of the project (.dependency-cruiser.cjs). Fails when it found too few modules,
 * so that a broken setup cannot pass.
 *
 * @module
 */
import { cruise } from 'dependency-cruiser';
import extractOptions from 'dependency-cruiser/config-utl/extract-depcruise-options';
import extractTsConfig from 'dependency-cruiser/config-utl/extract-ts-config';
import { folderCycles } from './folder-cycles.ts';

const sourceFolders = [
  'core',
  'certs',
  'enroll',
  'broker',
  'device-sim',
  'cli',
  'embed',
  'console',
];
const modulesMin = 20;

const options = await extractOptions('./.dependency-cruiser.cjs');
const folders = process.argv.slice(2);
const result = await cruise(folders.length > 0 ? folders : sourceFolders, options, undefined, {
  tsConfig: extractTsConfig('tsconfig.json'),
});
if (typeof result.output === 'string') throw new Error('unexpected text output');
const { violations, totalCruised, totalDependenciesCruised = 0 } = result.output.summary;
for (const { rule, from, to } of violations) {
  process.stderr.write(`${rule.severity} ${rule.name}: ${from} → ${to}\n`);
}
const cycles = folderCycles(
  result.output.modules
    .filter(({ source }) => !source.includes('node_modules/'))
    .map(({ source, dependencies }) => ({
      source,
      imports: dependencies
        .map(({ resolved }) => resolved)
        .filter((path) => /\.ts$/.test(path) && !path.includes('node_modules/')),
    })),
);
for (const folders of cycles) {
  process.stderr.write(`error folder-cycle: ${folders.join(', ')} import each other\n`);
}
process.stdout.write(
  `import rules: ${totalCruised} modules, ${totalDependenciesCruised} imports, ${violations.length + cycles.length} violations\n`,
);
if (totalCruised < modulesMin || totalDependenciesCruised < modulesMin) {
  process.stderr.write(
    `import rules: looked at fewer than ${modulesMin} modules: nothing is proven\n`,
  );
  process.exit(1);
}
process.exit(violations.length + cycles.length > 0 ? 1 : 0);
