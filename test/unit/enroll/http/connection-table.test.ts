import test from 'ava';
import { addressPrefix } from '../../../../core/ip-address.ts';
import { ConnectionTable, type TableSocket } from '../../../../enroll/http/connection-table.ts';

interface TestSocket extends TableSocket {
  closed: boolean;
}

let port = 0;

function socketOf(remoteAddress: string): TestSocket {
  let listener: (() => void) | undefined;
  const socket: TestSocket = {
    remoteAddress,
    remotePort: ++port,
    closed: false,
    destroy() {
      socket.closed = true;
      listener?.();
    },
    once: (_event, call) => void (listener = call),
  };
  return socket;
}

function add(table: ConnectionTable, address: string): TestSocket {
  const socket = socketOf(address);
  table.add(socket);
  return socket;
}

test('a few addresses with idle connections cannot exclude others', (t) => {
  const table = new ConnectionTable({ connectionsMax: 100, connectionsPerAddressMax: 50 });
  const silent = Array.from({ length: 100 }, (_none, at) => add(table, `10.0.0.${at % 2}`));
  const others = Array.from({ length: 30 }, (_none, at) => add(table, `10.1.0.${at}`));
  t.true(others.every(({ closed }) => !closed));
  t.is(silent.filter(({ closed }) => closed).length, 30);
  t.true(silent[0]?.closed, 'the oldest first');
  t.is(table.size, 100);
});

test('connections with a request stay, and those with an accepted certificate go last', (t) => {
  const table = new ConnectionTable({ connectionsMax: 10, connectionsPerAddressMax: 3 });
  const [busy, known, idle] = [1, 2, 3].map(() => add(table, '10.0.0.1'));
  const done = table.requested(busy!);
  table.known(known!);
  add(table, '10.0.0.1');
  t.deepEqual([busy!.closed, known!.closed, idle!.closed], [false, false, true]);
  const second = add(table, '10.0.0.1');
  t.false(known!.closed);
  table.requested(second);
  add(table, '10.0.0.1');
  t.true(known!.closed);
  done();
  t.is(table.size, 3);
});

test('an IPv6 source is its /64', (t) => {
  t.is(addressPrefix('2001:db8::1'), addressPrefix('2001:db8:0:0:ffff::2'));
  t.not(addressPrefix('2001:db8::1'), addressPrefix('2001:db8:0:1::1'));
  t.is(addressPrefix('::ffff:10.0.0.1'), '10.0.0.1');
  const table = new ConnectionTable({ connectionsMax: 10, connectionsPerAddressMax: 2 });
  const first = add(table, '2001:db8::1');
  add(table, '2001:db8::2');
  add(table, '2001:db8::3');
  t.true(first.closed);
});
