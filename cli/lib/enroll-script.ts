/**
 * A shell script that enrolls a device with curl and openssl only, for devices without this package.
 *
 * @module
 */
import { shellWord } from './local-command.ts';

export interface EnrollScriptInput {
  readonly device: string;
  readonly url: string;
  /** `sha256:` and 64 hexadecimal digits of the root certificate's DER. */
  readonly fingerprint: string;
  readonly token: string;
}

/**
 * POSIX shell. The steps are joined by `&&`, so that nothing secret leaves when the fingerprint
 * differs, and the token reaches curl through its standard input, so that it is on no command line of
 * a process. The folder then has the files that `device enroll` writes; only the root is trusted (`ca.pem`).
 */
export function enrollScript({ device, url, fingerprint, token }: EnrollScriptInput): string {
  const hex = fingerprint.replace(/^sha256:/, '');
  const base = shellWord(url.replace(/\/$/, ''));
  const id = shellWord(device);
  return [
    `(umask 077 && mkdir ${id} && cd ${id} &&`,
    `printf '%b' "$(curl -sSk -m 30 ${base}/v1/ca | sed 's/.*"ca":"\\([^"]*\\)".*/\\1/')" |`,
    `  tee issuers.pem | openssl x509 -out ca.pem &&`,
    `{ openssl x509 -in ca.pem -outform DER | openssl dgst -sha256 -r | grep -q ^${hex} ||`,
    `  { echo 'Stop: the fingerprint of the root certificate differs.' >&2; false; }; } &&`,
    `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem \\`,
    `  -subj ${shellWord(`/CN=${device}`)} -outform DER 2>openssl.log | openssl base64 -A > request.b64 &&`,
    `curl -sS --fail-with-body -m 30 --cacert ca.pem -H @- -o answer \\`,
    `  -H 'Content-Type: application/pkcs10' --data-binary @request.b64 \\`,
    `  ${base}/.well-known/est/simpleenroll <<END &&`,
    `Authorization: Bearer ${token}`,
    'END',
    `openssl base64 -d -A -in answer | openssl pkcs7 -inform DER -print_certs -out cert.pem &&`,
    `cat cert.pem issuers.pem > chain.pem && rm request.b64 answer issuers.pem openssl.log || { cat answer 2>/dev/null; false; })`,
  ].join('\n');
}
