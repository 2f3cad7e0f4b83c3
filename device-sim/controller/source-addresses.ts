/**
 * Local addresses to connect from: one address has too few ports for a very large fleet.
 *
 * @module
 */

/** The most addresses that are used. */
const addressesMax = 1024;

/** Expands addresses and blocks (`127.0.0.0/28`) to a list, without network and broadcast addresses. */
export function expandAddresses(entries: readonly string[]): string[] {
  const addresses: string[] = [];
  for (const entry of entries) {
    const [base = '', bits] = entry.split('/');
    if (bits === undefined) {
      addresses.push(base);
      continue;
    }
    const size = 2 ** (32 - Number(bits));
    const first = Math.floor(numberOf(base) / size) * size;
    const inner = size > 2 ? [first + 1, first + size - 2] : [first, first + size - 1];
    for (let at = inner[0] ?? 0; at <= (inner[1] ?? 0) && addresses.length < addressesMax; at++) {
      addresses.push(textOf(at));
    }
  }
  return addresses.slice(0, addressesMax);
}

function numberOf(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

function textOf(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}
