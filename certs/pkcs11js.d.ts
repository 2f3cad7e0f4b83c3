/**
 * The part of pkcs11js that certs/pkcs11-signer.ts and its test use. The package is optional: it is compiled when it is installed,
 * and a machine without a compiler does not have it. With this declaration the project is checked there as well.
 */
declare module 'pkcs11js' {
  interface Attribute {
    readonly type: number;
    readonly value?: Buffer | string | number | boolean;
  }

  interface PKCS11 {
    load(path: string): void;
    C_Initialize(): void;
    C_GetSlotList(tokenPresent: boolean): Buffer[];
    C_GetTokenInfo(slot: Buffer): { readonly label: string };
    C_OpenSession(slot: Buffer, flags: number): Buffer;
    C_Login(session: Buffer, userType: number, pin: string): void;
    C_FindObjectsInit(session: Buffer, template: readonly Attribute[]): void;
    C_FindObjects(session: Buffer, countMax: number): Buffer[];
    C_FindObjectsFinal(session: Buffer): void;
    C_GetAttributeValue(
      session: Buffer,
      object: Buffer,
      template: readonly Attribute[],
    ): Attribute[];
    C_GenerateKeyPair(
      session: Buffer,
      mechanism: { readonly mechanism: number },
      publicTemplate: readonly Attribute[],
      privateTemplate: readonly Attribute[],
    ): unknown;
    C_SignInit(session: Buffer, mechanism: { readonly mechanism: number }, key: Buffer): void;
    C_SignAsync(session: Buffer, input: Buffer, output: Buffer): Promise<Buffer>;
  }

  const library: {
    readonly PKCS11: new () => PKCS11;
    readonly CKA_CLASS: number;
    readonly CKA_EC_PARAMS: number;
    readonly CKA_EC_POINT: number;
    readonly CKA_EXTRACTABLE: number;
    readonly CKA_ID: number;
    readonly CKA_KEY_TYPE: number;
    readonly CKA_LABEL: number;
    readonly CKA_MODULUS: number;
    readonly CKA_MODULUS_BITS: number;
    readonly CKA_PRIVATE: number;
    readonly CKA_PUBLIC_EXPONENT: number;
    readonly CKA_SENSITIVE: number;
    readonly CKA_SIGN: number;
    readonly CKA_TOKEN: number;
    readonly CKA_VERIFY: number;
    readonly CKF_RW_SESSION: number;
    readonly CKF_SERIAL_SESSION: number;
    readonly CKK_RSA: number;
    readonly CKM_ECDSA: number;
    readonly CKM_EC_KEY_PAIR_GEN: number;
    readonly CKM_RSA_PKCS: number;
    readonly CKM_RSA_PKCS_KEY_PAIR_GEN: number;
    readonly CKO_PRIVATE_KEY: number;
    readonly CKO_PUBLIC_KEY: number;
    readonly CKR_CRYPTOKI_ALREADY_INITIALIZED: number;
    readonly CKR_USER_ALREADY_LOGGED_IN: number;
    readonly CKU_USER: number;
  };
  export = library;
}
