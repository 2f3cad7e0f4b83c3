import test from 'ava';
import type { CmpHeader } from '../../../../certs/cmp-message.ts';
import { createCsr, parseCsr } from '../../../../certs/csr.ts';
import { generateKeySync } from '../../../../certs/key.ts';
import { FlotillaError } from '../../../../core/errors/flotilla-error.ts';
import { CmpTransactions, type CmpTransaction } from '../../../../enroll/cmp/cmp-transactions.ts';
import { fakeClock } from '../../../support/fake-clock.ts';

const csr = parseCsr(createCsr({ key: generateKeySync('p256'), commonName: 'd1' }).der);
const nonce = Buffer.alloc(16, 1);
// Only the fields that transactions look at.
const header = (id: string): CmpHeader =>
  ({ transactionId: Buffer.from(id), recipientNonce: nonce }) as unknown as CmpHeader;
const transaction = (sender: string): CmpTransaction => ({
  ...{ sender, csr, nonce, reply: 'ip', requestId: 0, profile: undefined },
  ...{ implicitConfirm: false, stage: { kind: 'waiting' } },
});

test('a sender with very many transactions displaces its own only', (t) => {
  const transactions = new CmpTransactions(fakeClock());
  transactions.begin(header('waiting'), transaction('token-b'));
  for (let n = 0; n < 11_000; n++) transactions.begin(header(`a-${n}`), transaction('token-a'));
  t.is(transactions.follow(header('waiting'), 'token-b').sender, 'token-b');
  t.is(transactions.follow(header('a-10999'), 'token-a').sender, 'token-a');
  t.throws(() => transactions.follow(header('a-9999'), 'token-a'), { instanceOf: FlotillaError });
});
