import type { JSX } from 'preact';
import { encode } from 'uqr';

/** A QR code, as SVG, always dark on light, because scanners need it so. */
export function QrCode({ text }: { readonly text: string }): JSX.Element {
  const { data, size } = encode(text, { ecc: 'L', border: 2 });
  const path = data
    .flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : '')))
    .join('');
  return (
    <svg class="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label="QR code of the token">
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}
