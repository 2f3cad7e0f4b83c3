/**
 * The identity provider of the settings, with its secrets read.
 *
 * @module
 */
import type { Config } from '../../core/config/config.ts';
import { readSetting } from '../../core/config/setting-file.ts';
import { IdentityProvider } from './identity-provider.ts';

/**
 * @returns undefined when none is configured
 * @throws FlotillaError `config-unreadable`, `file-too-open` when its files cannot be used
 */
export async function openProvider(
  config: Config,
  redirectUri: () => string,
): Promise<IdentityProvider | undefined> {
  const { oidc } = config.enroll;
  if (oidc === undefined) return undefined;
  const { clientSecretFile, caFile } = oidc;
  return new IdentityProvider(
    oidc,
    {
      clientSecret:
        clientSecretFile === undefined
          ? undefined
          : (await readSetting(clientSecretFile, 'secret')).trim(),
      ca: caFile === undefined ? undefined : await readSetting(caFile, 'public'),
    },
    redirectUri,
  );
}
