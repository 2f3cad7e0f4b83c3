/**
 * Says in the log which secret files a group can read. They are accepted, see core/secret-file.ts.
 *
 * @module
 */
import type { Config } from '../../core/config/config.ts';
import type { Logger } from '../../core/log.ts';
import { assertSecret } from '../../core/secret-file.ts';
import { identityFiles, type StateFolder } from '../../core/state-folder.ts';
import type { ProcessEnvironment } from './command-context.ts';

/** Missing files and files that are too open are reported where they are used. */
export async function reportGroupReadableSecrets(
  state: StateFolder,
  config: Config,
  environment: ProcessEnvironment,
  log: Logger,
): Promise<void> {
  const paths = [
    environment.env['FLOTILLA_CA_PASSPHRASE_FILE'],
    state.ca.passphrase,
    state.ca.rootKey,
    state.ca.issuerKey,
    identityFiles(state.enroll.tls).key,
    identityFiles(state.enroll.tlsRsa).key,
    identityFiles(state.admin).key,
    identityFiles(state.broker.identity).key,
    identityFiles(state.broker.rsaIdentity).key,
    config.enroll.hook?.secretFile,
  ];
  for (const file of paths) {
    if (file === undefined || file === '') continue;
    const access = await assertSecret(file).catch(() => undefined);
    if (access === 'group') log.info({ file }, 'the group of a secret file can read it');
  }
}
