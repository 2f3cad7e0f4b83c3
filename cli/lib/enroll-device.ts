/**
 * Enrollment on the device: generates the key, verifies the root CA by its fingerprint, and exchanges a
 * token and a certificate signing request for a certificate.
 *
 * The key and the request are stored on the disk before the request is sent. When the response is lost,
 * the next attempt sends the same request, and the service returns the same certificate.
 *
 * @module
 */
import { access, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { createCsr, parseCsr } from '../../certs/csr.ts';
import { plainNames, subjectNamesOf } from '../../certs/subject-names.ts';
import { generateKey, privateKeyPem, type KeyType } from '../../certs/key.ts';
import { makeSecretFolder, writeFileAtomic } from '../../core/atomic-file.ts';
import type { DeviceId } from '../../core/device-id.ts';
import { issuedSchema, type Issued } from '../../core/protocol/enrollment-api.ts';
import { FlotillaError, isFlotillaError } from '../../core/errors/flotilla-error.ts';
import {
  callHttps,
  fetchPinnedCa,
  problemOf,
  type Call,
} from '../../core/protocol/https-client.ts';
import { originText } from './enrollment-origin.ts';
import type { IdentityFiles } from '../../core/state-folder.ts';
import { holdsIdentity, saveIdentity } from '../../core/identity-folder.ts';

export interface EnrolledDevice {
  readonly device: string;
  readonly serial: string;
  readonly notAfter: string;
  readonly files: IdentityFiles;
}

export interface EnrollDeviceOptions {
  readonly folder: string;
  readonly id: DeviceId;
  readonly keyType: KeyType;
  /** Names of the device as a server (default: none). */
  readonly names?: readonly string[];
  readonly url: string;
  readonly fingerprint: string;
  /** `host:port` of the broker, which tests the certificates of later renewals. */
  readonly mqtts: string | undefined;
  /** Builds the call, with its credentials and its body. */
  call(ca: string, csr: string): Call;
  /** How long to wait for an operator's approval, in ms. */
  readonly waitMs: number;
  /** Called when the request waits for an operator, who compares the fingerprint of the key. */
  waiting(seconds: number, keyFingerprint: string): void;
}

/**
 * @throws FlotillaError `output-exists`, `service-untrusted` (the fingerprint differs), and the errors of
 *   the service
 */
export async function enrollInto(options: EnrollDeviceOptions): Promise<EnrolledDevice> {
  const existed = await isThere(options.folder);
  try {
    return await enrollAndSave(options);
  } catch (error) {
    // Only an empty folder is removed: one with a pending request is needed for the next attempt.
    if (!existed) await rmdir(options.folder).catch(() => undefined);
    throw error;
  }
}

async function enrollAndSave(options: EnrollDeviceOptions): Promise<EnrolledDevice> {
  const { folder, url, fingerprint } = options;
  if (await holdsIdentity(folder)) throw new FlotillaError('output-exists', { detail: folder });
  const { ca } = await fetchPinnedCa(url, fingerprint);
  const pending = await pendingRequest(options);
  const { keyFingerprint } = parseCsr(pending.csr);
  const call = options.call(ca, pending.csr);
  const issued = await submit(options, call, keyFingerprint).catch(async (error: unknown) => {
    if (pending.isNew && wasNotSent(error)) {
      await rm(pending.folder, { recursive: true, force: true });
    }
    throw error;
  });
  const files = await saveIdentity(folder, {
    key: pending.key,
    cert: issued.certificate,
    chain: issued.chain,
    ca: issued.ca,
    enrollment: originText({ id: options.id, url, fingerprint, mqtts: options.mqtts }),
  });
  await rm(pending.folder, { recursive: true, force: true });
  await keepOutOfGit(folder);
  return { device: issued.device, serial: issued.serial, notAfter: issued.notAfter, files };
}

/** A folder in a checkout: git must not take the key, nor the links to it. */
async function keepOutOfGit(folder: string): Promise<void> {
  await writeFile(join(folder, '.gitignore'), '*\n', { flag: 'wx' }).catch(() => undefined);
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** The server did not prove its identity, so nothing was sent to it. */
function wasNotSent(error: unknown): boolean {
  return (
    isFlotillaError(error, 'service-name-mismatch') || isFlotillaError(error, 'service-untrusted')
  );
}

/** Reads the key and the request of an interrupted enrollment, or creates new ones. */
async function pendingRequest(
  options: EnrollDeviceOptions,
): Promise<{ folder: string; key: string; csr: string; isNew: boolean }> {
  const folder = join(options.folder, '.pending');
  const keyPath = join(folder, 'key.pem');
  const csrPath = join(folder, `${options.id}.csr.pem`);
  await makeSecretFolder(options.folder);
  await makeSecretFolder(folder);
  try {
    const [key, csr] = await Promise.all([readFile(keyPath, 'utf8'), readFile(csrPath, 'utf8')]);
    createPrivateKey(key);
    if (hasNames(csr, options.names ?? [])) return { folder, key, csr, isNew: false };
    // The key stays: only the names are others than at the attempt before.
    const renamed = await storedRequest(csrPath, createPrivateKey(key), options);
    return { folder, key, csr: renamed, isNew: false };
  } catch {
    const made = await generateKey(options.keyType);
    const key = privateKeyPem(made);
    await writeFileAtomic(keyPath, key);
    return { folder, key, csr: await storedRequest(csrPath, made, options), isNew: true };
  }
}

function hasNames(csr: string, names: readonly string[]): boolean {
  return (
    plainNames(parseCsr(csr).names).join('\n') === plainNames(subjectNamesOf(names)).join('\n')
  );
}

async function storedRequest(
  path: string,
  key: KeyObject,
  { id, names = [] }: EnrollDeviceOptions,
): Promise<string> {
  const csr = createCsr({ key, commonName: id, names }).pem;
  await writeFileAtomic(path, csr);
  return csr;
}

/** Repeats the request until it is decided: 202 means that it waits for an operator. */
async function submit(
  options: EnrollDeviceOptions,
  call: Call,
  keyFingerprint: string,
): Promise<Issued> {
  const giveUpAt = Date.now() + options.waitMs;
  for (;;) {
    const answer = await callHttps(call);
    if (answer.status === 202) {
      const seconds = Math.min(300, Math.max(1, Number(answer.headers['retry-after'] ?? 5) || 5));
      if (Date.now() + seconds * 1000 > giveUpAt) {
        throw new FlotillaError('enrollment-pending', {
          detail: `${options.id}, key ${keyFingerprint}`,
        });
      }
      options.waiting(seconds, keyFingerprint);
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      continue;
    }
    if (answer.status < 200 || answer.status > 299) {
      const problem = problemOf(answer);
      // Rejected permanently: the next attempt starts with a new key.
      if (
        !isFlotillaError(problem, 'service-unreachable') &&
        answer.status < 500 &&
        answer.status !== 429
      ) {
        await rm(join(options.folder, '.pending'), { recursive: true, force: true });
      }
      throw problem;
    }
    const issued = issuedSchema.safeParse(JSON.parse(answer.body.toString('utf8')));
    if (!issued.success) {
      throw new FlotillaError('service-answer-invalid', { detail: issued.error.message });
    }
    return issued.data;
  }
}
