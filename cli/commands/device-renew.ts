/**
 * `flotilla device renew`: renews a certificate on the device, authenticated by the current one.
 *
 * The new certificate replaces the current one only after a test connection with it has succeeded: to
 * the broker if its address is known, otherwise to the enrollment service.
 *
 * @module
 */
import { createPrivateKey } from 'node:crypto';
import { Option, type Command } from 'commander';
import { z } from 'zod';
import { createCsr } from '../../certs/csr.ts';
import { generateKey, keyTypes, privateKeyPem, type KeyType } from '../../certs/key.ts';
import { readCertificate } from '../../certs/certificate.ts';
import { issuedSchema } from '../../core/protocol/enrollment-api.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { callJson } from '../../core/protocol/https-client.ts';
import { command, type CommandAction, type CommonOptions } from '../lib/command-context.ts';
import { hostPort } from '../lib/host-port.ts';
import { loadIdentity, saveIdentity } from '../../core/identity-folder.ts';
import type { Runner } from '../lib/runner.ts';

interface RenewOptions extends CommonOptions {
  readonly dir: string;
  readonly url?: string;
  readonly mqtts?: string;
  readonly rekey?: boolean;
  readonly keyType: KeyType;
}

const enrollmentSchema = z.object({ url: z.string().optional(), mqtts: z.string().optional() });

export function renewCommand(runner: Runner): Command {
  return command('renew', 'on the device: renew the certificate, authenticated by the current one')
    .requiredOption('--dir <dir>', 'folder of the identity, as device enroll wrote it')
    .option('--rekey', 'generate a new key')
    .addOption(
      new Option('--key-type <type>', 'type of the new key, with --rekey')
        .choices(keyTypes)
        .default('p256'),
    )
    .option('--url <url>', 'URL of the enrollment service (default: the one used for enrollment)')
    .option(
      '--mqtts <host:port>',
      'broker to test the new certificate with, before it replaces the current one',
    )
    .action(runner.run(renew));
}

const renew: CommandAction<RenewOptions> = async (options, context) => {
  const old = await loadIdentity(options.dir);
  const origin = enrollmentSchema.parse(JSON.parse(old.enrollment ?? '{}'));
  const url = options.url ?? origin.url;
  if (url === undefined)
    throw new FlotillaError('usage', { detail: 'specify the service with --url' });
  const facts = readCertificate(old.cert);
  if (!facts.commonName.ok) throw new FlotillaError(facts.commonName.code, { detail: options.dir });
  const id = facts.commonName.id;
  const key =
    options.rekey === true ? await generateKey(options.keyType) : createPrivateKey(old.key);
  const keyPem = options.rekey === true ? privateKeyPem(key) : old.key;
  const csr = createCsr({ key, commonName: id }).pem;
  const issued = await callJson(
    {
      method: 'POST',
      url: new URL('/v1/renew', url).href,
      ca: old.ca,
      cert: old.chain,
      key: old.key,
      body: { csr },
    },
    issuedSchema,
  );
  const mqtts = options.mqtts ?? origin.mqtts;
  if (mqtts !== undefined) {
    const { probeConnection } = await import('../../device-sim/device/probe.ts');
    await probeConnection({
      ...hostPort(mqtts, 8883),
      ca: issued.ca,
      cert: issued.chain,
      key: keyPem,
      // Not the device's own client id: that would take over its live connection and its session.
      clientId: `${id}/probe`,
    });
  } else {
    await callJson(
      {
        method: 'GET',
        url: new URL('/v1/whoami', url).href,
        ca: issued.ca,
        cert: issued.chain,
        key: keyPem,
      },
      z.object({ id: z.literal(id) }),
    );
  }
  const files = await saveIdentity(options.dir, {
    key: keyPem,
    cert: issued.certificate,
    chain: issued.chain,
    ca: issued.ca,
  });
  const made = { device: issued.device, serial: issued.serial, notAfter: issued.notAfter, files };
  context.out.result(
    made,
    `renewed the certificate of ${made.device}; it is valid until ${made.notAfter}`,
  );
  return 0;
};
