import test from 'ava';
import { ServiceOutput } from '../../../core/service-output.ts';

/** A pipe with room for some bytes. */
function fakePipe(): {
  room: number;
  error: string | undefined;
  text: string;
  write(bytes: Buffer): number;
} {
  return {
    room: Number.POSITIVE_INFINITY,
    error: undefined,
    text: '',
    write(bytes) {
      if (this.error !== undefined)
        throw Object.assign(new Error(this.error), { code: this.error });
      if (this.room === 0) throw Object.assign(new Error('full'), { code: 'EAGAIN' });
      const part = bytes.subarray(0, this.room);
      this.room -= part.length;
      this.text += part.toString();
      return part.length;
    },
  };
}

test('what a stopped reader does not read waits, then is lost and counted, and the rest arrives in order', (t) => {
  const pipe = fakePipe();
  const output = new ServiceOutput(2, {
    writeNow: (bytes) => pipe.write(bytes),
    lostText: (lines) => `lost ${lines}\n`,
  });
  output.write('first\n');
  pipe.room = 4;
  output.write('second\n');
  for (let at = 0; at < 100; at++) output.write(`${String(at).padStart(999, '.')}\n`);
  t.is(pipe.text, 'first\nseco');
  t.true(output.lost > 20 && output.lost < 60, String(output.lost));
  const { lost } = output;
  pipe.room = Number.POSITIVE_INFINITY;
  output.flush();
  output.write('last\n');
  const lines = pipe.text.split('\n');
  t.deepEqual(lines.slice(0, 2), ['first', 'second']);
  t.deepEqual(
    lines.slice(2, 102 - lost).map((line) => Number(line.replaceAll('.', ''))),
    Array.from({ length: 100 - lost }, (_none, at) => at),
  );
  t.deepEqual(lines.slice(102 - lost), [`lost ${lost}`, 'last', '']);
  t.is(output.lost, 0);
});

test('a full disk keeps some lines for later, and a closed pipe loses them', (t) => {
  const pipe = fakePipe();
  const output = new ServiceOutput(2, {
    writeNow: (bytes) => pipe.write(bytes),
    lostText: (lines) => `lost ${lines}\n`,
  });
  pipe.error = 'ENOSPC';
  output.write('kept\n');
  pipe.error = undefined;
  output.flush();
  t.is(pipe.text, 'kept\n');
  pipe.error = 'EPIPE';
  t.notThrows(() => output.write('gone\n'));
  pipe.error = undefined;
  output.write('after\n');
  t.is(pipe.text, 'kept\nafter\nlost 1\n');
});
