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
  t.is(reportUnconfirmed(['broker-1', 'broker-2'], out), 4);
  t.regex(text(), /^NOT CONFIRMED by broker-1, broker-2: revoked devices may still be connected/);
});

test('a confirmed revocation says nothing', (t) => {
  const { out, text } = output();
  t.is(reportUnconfirmed([], out), 0);
  t.is(reportUnconfirmed(undefined, out), 0);
  t.is(text(), '');
});
