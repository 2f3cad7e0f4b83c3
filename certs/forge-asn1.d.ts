/**
 * Types for the only part of node-forge that is loaded. The published types describe the package as a
 * whole only, and allow only a boolean as the second argument of `fromDer`.
 *
 * @module
 */
declare module 'node-forge/lib/asn1.js' {
  namespace asn1 {
    interface Node {
      readonly constructed: boolean;
      /** One character per octet, or the parts of a constructed element. */
      readonly value: string | readonly Node[];
    }
    interface Options {
      readonly strict: boolean;
      readonly parseAllBytes: boolean;
      readonly decodeBitStrings: boolean;
      readonly maxDepth: number;
    }
  }
  const asn1: {
    fromDer(bytes: string, options: asn1.Options): asn1.Node;
    toDer(node: asn1.Node): { getBytes(): string };
    oidToDer(oid: string): { getBytes(): string };
    derToOid(bytes: string): string;
  };
  export = asn1;
}
