/** What a device needs in order to enroll, as the JSON text of the QR code. */
export function qrText(token: {
  readonly url: string;
  readonly fingerprint: string;
  readonly token: string;
}): string {
  const { url, fingerprint } = token;
  return JSON.stringify({ url, fingerprint, token: token.token });
}
