/**
 * `@peculiar/x509`, the second oracle. It wants `reflect-metadata` to be there before it is loaded,
 * so everybody loads it from here.
 *
 * @module
 */
import 'reflect-metadata';

export {
  Extension,
  KeyUsageFlags,
  Pkcs10CertificateRequest,
  X509Certificate,
  X509Crl,
} from '@peculiar/x509';
