import { PassThrough } from 'node:stream';
import test from 'ava';
import { Output } from '../../../../cli/lib/output.ts';
import { reportUnconfirmed } from '../../../../cli/lib/unconfirmed.ts';

function output(env: Readonly<Record<string, string>> = {}): { out: Output; text: () => string } {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  return {
    out: new Output(false, { stdout, stderr }, env),
    text: () => String((stderr.read() as Buffer | null) ?? ''),
  };
}

test('a revocation that a broker has not confirmed says so and has its own exit code', (t) => {
  const { out, text } = output();
  const brokersUnconfirmed = ['broker-1', 'broker-2'];
  t.is(reportUnconfirmed({ brokers: 3, brokersUnconfirmed }, out), 4);
  t.regex(text(), /^NOT CONFIRMED by broker-1, broker-2: the devices may still be connected/);
});

test('a confirmed revocation says nothing', (t) => {
  const { out, text } = output();
  t.is(reportUnconfirmed({ brokers: 1, brokersUnconfirmed: [], brokersAbsent: [] }, out), 0);
  t.is(reportUnconfirmed({}, out), 0, 'from an older service');
  t.is(text(), '');
});

test('brokers that are not connected are named, and a fleet without a broker is mentioned', (t) => {
  const { out, text } = output();
  const absent = { brokers: 0, brokersUnconfirmed: [], brokersAbsent: ['broker-1'] };
  t.is(reportUnconfirmed(absent, out), 4, 'perhaps only its network is cut');
  t.regex(
    text(),
    /^NOT CONFIRMED by broker-1, not connected to the enrollment service: .*may still be connected/,
  );
  t.is(reportUnconfirmed({ brokers: 0, brokersUnconfirmed: [], brokersAbsent: [] }, out), 0);
  t.regex(text(), /^No broker has confirmed it, because none is registered/);
});
