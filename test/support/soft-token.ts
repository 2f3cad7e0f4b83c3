/**
 * A token in software (SoftHSM) with keys of its own.
 *
 * @module
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type pkcs11 from 'pkcs11js';
import { runChild } from './child.ts';

type Library = typeof pkcs11;

const modulePath = '/usr/lib/softhsm/libsofthsm2.so';
const pin = '1234';

export interface SoftToken {
  /** The URI of a key. */
  uri(label: string): string;
}

/**
 * Makes a token with a key pair for each label; `rsa…` is RSA, everything else P-256. SoftHSM reads its configuration
 * once in a process, so a test file can have one token.
 *
 * @returns undefined on a machine that could not compile pkcs11js: then the test has passed with a message. With
 *   FLOTILLA_TEST_NO_SKIP set, it fails.
 */
export async function softToken(
  t: ExecutionContext,
  program: string,
  folder: string,
  labels: readonly string[],
): Promise<SoftToken | undefined> {
  const pkcs11js = await loadLibrary(t);
  if (pkcs11js === undefined) return undefined;
  const conf = join(folder, 'softhsm2.conf');
  mkdirSync(join(folder, 'tokens'));
  writeFileSync(conf, `directories.tokendir = ${join(folder, 'tokens')}\n`);
  process.env['SOFTHSM2_CONF'] = conf;
  const made = await runChild(t, program, [
    ...['--init-token', '--free', '--label', 'flotilla', '--pin', pin, '--so-pin', '5678'],
  ]);
  t.is(made.code, 0, made.stderr);
  const module = new pkcs11js.PKCS11();
  module.load(modulePath);
  module.C_Initialize();
  const [slot] = module.C_GetSlotList(true);
  const session = module.C_OpenSession(
    slot!,
    pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION,
  );
  module.C_Login(session, pkcs11js.CKU_USER, pin);
  for (const label of labels) makeKey(pkcs11js, module, session, label);
  return {
    uri: (label) =>
      `pkcs11:token=flotilla;object=${label};type=private?module-path=${modulePath}&pin-value=${pin}\n`,
  };
}

async function loadLibrary(t: ExecutionContext): Promise<Library | undefined> {
  try {
    return (await import('pkcs11js')).default;
  } catch (error) {
    if (process.env['FLOTILLA_TEST_NO_SKIP']) throw error;
    t.log(
      `SKIPPED ${t.title}: the optional package pkcs11js is missing (it needs python3, make and g++)`,
    );
    t.pass();
    return undefined;
  }
}

function makeKey(
  pkcs11js: Library,
  module: InstanceType<Library['PKCS11']>,
  session: Buffer,
  label: string,
): void {
  const isRsa = label.startsWith('rsa');
  const common = [
    { type: pkcs11js.CKA_TOKEN, value: true },
    { type: pkcs11js.CKA_LABEL, value: label },
    { type: pkcs11js.CKA_ID, value: Buffer.from(label) },
  ];
  const parameters = isRsa
    ? [
        { type: pkcs11js.CKA_MODULUS_BITS, value: 2048 },
        { type: pkcs11js.CKA_PUBLIC_EXPONENT, value: Buffer.from('010001', 'hex') },
      ]
    : // P-256 as an OID, DER.
      [{ type: pkcs11js.CKA_EC_PARAMS, value: Buffer.from('06082a8648ce3d030107', 'hex') }];
  module.C_GenerateKeyPair(
    session,
    {
      mechanism: isRsa ? pkcs11js.CKM_RSA_PKCS_KEY_PAIR_GEN : pkcs11js.CKM_EC_KEY_PAIR_GEN,
    },
    [...common, { type: pkcs11js.CKA_VERIFY, value: true }, ...parameters],
    [
      ...common,
      { type: pkcs11js.CKA_SIGN, value: true },
      { type: pkcs11js.CKA_PRIVATE, value: true },
      { type: pkcs11js.CKA_SENSITIVE, value: true },
      { type: pkcs11js.CKA_EXTRACTABLE, value: false },
    ],
  );
}
