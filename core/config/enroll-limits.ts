/**
 * Every limit of the enrollment service that an operator can set, with its unit in its name and its
 * default. They are set in flotilla.yaml under `limits.enroll`; docs/configuration.md lists them.
 *
 * @module
 */
import { z } from 'zod';
import { kib, mib, wholeNumber } from './limit-range.ts';

/** The limits of the enrollment service. */
export const enrollLimitsSchema = z.strictObject({
  bodyMaxBytes: wholeNumber({
    defaultValue: 16 * kib,
    min: 1 * kib,
    max: 1 * mib,
    description: 'Size of a request body.',
  }),
  importMaxBytes: wholeNumber({
    defaultValue: 64 * mib,
    min: 1 * kib,
    max: 1024 * mib,
    description: 'Size of the request body of a bulk import.',
  }),
  headersTimeoutMs: wholeNumber({
    defaultValue: 10_000,
    min: 100,
    max: 120_000,
    description: 'Time from the first byte of a request to the end of its headers.',
  }),
  requestTimeoutMs: wholeNumber({
    defaultValue: 20_000,
    min: 100,
    max: 600_000,
    description: 'Time from the first byte of a request to its last.',
  }),
  handshakeTimeoutMs: wholeNumber({
    defaultValue: 10_000,
    min: 100,
    max: 120_000,
    description: 'Time from the TCP connection to the end of the TLS handshake.',
  }),
  connectionsMax: wholeNumber({
    defaultValue: 2000,
    min: 1,
    max: 100_000,
    description: 'Open connections.',
  }),
  connectionsPerAddressMax: wholeNumber({
    defaultValue: 1000,
    min: 1,
    max: 100_000,
    description: 'Open connections from one address.',
  }),
  requestsPerAddressPerSecond: wholeNumber({
    defaultValue: 2000,
    min: 1,
    max: 1_000_000,
    description: 'Requests from one address per second.',
  }),
  failuresPerAddressPerMinute: wholeNumber({
    defaultValue: 120,
    min: 1,
    max: 1_000_000,
    description: 'Rejected credentials from one address per minute; further requests have to wait.',
  }),
  enrollmentsPerDevicePerHour: wholeNumber({
    defaultValue: 20,
    min: 1,
    max: 10_000,
    description: 'Certificates issued for one identity per hour.',
  }),
  signaturesPerSecond: wholeNumber({
    defaultValue: 2000,
    min: 1,
    max: 1_000_000,
    description: 'Certificates issued per second.',
  }),
  requestsPendingMax: wholeNumber({
    defaultValue: 10_000,
    min: 0,
    max: 1_000_000,
    description: 'Enrollments that wait for an operator.',
  }),
  certificatesPerIdentityMax: wholeNumber({
    defaultValue: 8,
    min: 2,
    max: 16,
    description: 'Certificates stored for one identity.',
  }),
  tokensPerRequestMax: wholeNumber({
    defaultValue: 1000,
    min: 1,
    max: 10_000,
    description: 'Tokens created by one request.',
  }),
  pageMaxItems: wholeNumber({
    defaultValue: 1000,
    min: 1,
    max: 10_000,
    description: 'Devices on one page of a list.',
  }),
  feedChangesKeptMax: wholeNumber({
    defaultValue: 100_000,
    min: 1,
    max: 10_000_000,
    description:
      'Directory changes kept for brokers that reconnect; a broker that missed more gets a snapshot.',
  }),
  refusalLinesPerBrokerPerMinute: wholeNumber({
    defaultValue: 100,
    min: 10,
    max: 10_000,
    description:
      'Audit lines per broker and minute for refusals; repeats and overflow are summed and written at the end of the minute.',
  }),
  eventStreamsMax: wholeNumber({
    defaultValue: 200,
    min: 1,
    max: 10_000,
    description: 'Clients that follow events at the same time.',
  }),
  eventStreamsPerOperatorMax: wholeNumber({
    defaultValue: 20,
    min: 1,
    max: 10_000,
    description: 'Clients of one operator that follow events at the same time.',
  }),
  eventStreamMaxBytes: wholeNumber({
    defaultValue: 1 * mib,
    min: 64 * kib,
    max: 64 * mib,
    description: 'Bytes of events that wait for one client before newer ones are dropped.',
  }),
  simulationDevicesMax: wholeNumber({
    defaultValue: 5000,
    min: 1,
    max: 1_000_000,
    description: 'Devices of a simulation that is started from the console.',
  }),
  simulationMaxSeconds: wholeNumber({
    defaultValue: 3600,
    min: 10,
    max: 604_800,
    description: 'Duration of a simulation that is started from the console; then it is stopped.',
  }),
  simulationsKeptMax: wholeNumber({
    defaultValue: 20,
    min: 1,
    max: 1000,
    description: 'Reports of simulations that are kept; the oldest is deleted first.',
  }),
  feedLagMaxBytes: wholeNumber({
    defaultValue: 64 * mib,
    min: 64 * kib,
    max: 1024 * mib,
    description:
      'Bytes that a broker may be behind on the feed before the service closes its connection.',
  }),
});
