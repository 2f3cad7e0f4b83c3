/** A factory's list accepts serial numbers in each form that tools print. */
import test from 'ava';
import { withSerialForms } from '../../../../enroll/enrollment/allowed-devices.ts';

test('a serial number is compared in one form, whatever form the list has', (t) => {
  for (const form of [
    'B1C2D3E4F5',
    'b1c2d3e4f5',
    'B1:C2:D3:E4:F5',
    '00:b1:c2:d3:e4:f5',
    '0xB1C2D3E4F5',
    '00B1C2D3E4F5',
  ]) {
    t.true(withSerialForms([form]).includes('b1c2d3e4f5'), form);
  }
  t.true(withSerialForms(['1']).includes('01'));
  t.true(withSerialForms(['00']).includes('00'));
});

test('a device id stays on the list as it is', (t) => {
  t.deepEqual(withSerialForms(['pump-1']), ['pump-1']);
  t.deepEqual(withSerialForms(['BEEF']), ['BEEF', 'beef']);
  t.deepEqual(withSerialForms(['unit-1', 'unit-1']), ['unit-1']);
});
