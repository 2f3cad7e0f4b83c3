import test from 'ava';
import {
  RenewalRelay,
  renewalsPerMinuteMax,
} from '../../../../broker/fleet-topics/renewal-relay.ts';
import { identityOf } from '../../../support/broker-identity.ts';
import { fakeClock } from '../../../support/fake-clock.ts';
import { captureLog } from '../../../support/log-capture.ts';

test('a flood of renewal requests of one device costs a few lines and answers a minute', (t) => {
  const clock = fakeClock();
  const { log, lines } = captureLog();
  const answers: string[] = [];
  const relay = new RenewalRelay({
    clock,
    log,
    renew: () => Promise.reject(new Error('not called')),
    publish: (topic) => void answers.push(topic),
    logRejected: (device, fields) => log.warn(fields, device),
  });
  const flood = (id: string, messages: number): void => {
    for (let n = 0; n < messages; n++) {
      t.true(relay.intercept(identityOf(id), `$fleet/certs/${id}/renew`, Buffer.from('garbage')));
    }
  };
  flood('greedy', 10_000);
  flood('good', 1);
  t.is(answers.filter((topic) => topic.includes('greedy')).length, renewalsPerMinuteMax + 1);
  t.is(answers.filter((topic) => topic.includes('good')).length, 1);
  t.is(lines.length, renewalsPerMinuteMax + 2);
  clock.advance(60_000);
  t.like(lines.at(-1), {
    msg: 'renewal requests over the limit ignored',
    requests: 10_000 - renewalsPerMinuteMax - 1,
    devices: 1,
    device: 'greedy',
  });
  flood('greedy', 1);
  t.is(answers.filter((topic) => topic.includes('greedy')).length, renewalsPerMinuteMax + 2);
});
