/**
 * With `FLOTILLA_TEST_FRONTS=n`, the brokers of the integration tests run with n fronts. By default their
 * one thread does TLS, whatever the machine has.
 *
 * @module
 */

/** The setting `broker.fronts` of a test that names none. */
export const testFronts = Number(process.env['FLOTILLA_TEST_FRONTS'] ?? '0');
