import test from 'ava';
import {
  correlationDataOf,
  requestProperties,
} from '../../../../../broker/session/wire/request-properties.ts';

test('correlation data is found among the other properties that are forwarded', (t) => {
  const correlationData = Buffer.from('abc');
  const request = requestProperties({ responseTopic: 'replies/é', correlationData });
  t.deepEqual(correlationDataOf(request), correlationData);
  const format = Buffer.from([0x01, 1]);
  const contentType = Buffer.from([0x03, 0, 1, 0x78]);
  const userProperty = Buffer.from([0x26, 0, 1, 0x6b, 0, 2, 0x09, 0x00]);
  const all = Buffer.concat([format, contentType, userProperty, request]);
  t.deepEqual(correlationDataOf(all), correlationData);
  t.is(correlationDataOf(Buffer.concat([format, userProperty])), undefined);
  t.is(correlationDataOf(undefined), undefined);
});
