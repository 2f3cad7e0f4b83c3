/**
 * `@peculiar/x509`, a second library as a reference. It needs `reflect-metadata` to be loaded before it,
 * so all tests import it from here.
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
