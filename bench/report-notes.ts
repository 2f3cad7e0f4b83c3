/**
 * Texts of docs/benchmarks.md about measurements that a benchmark run does not repeat.
 *
 * @module
 */

/** The minimum cost of a message. Measured once, not by each run. */
export const floorText = `
### The minimum cost of a message

\`npm run bench -- --brokers mosquitto,flotilla,bare --qos 0\` measures a third process: a router on bare
\`node:tls\`, without topics, policy, limits and sessions. Its cost is that of Node.js: streams, TLS, system calls.
The values are medians of three alternating runs on a machine with other work, so you can compare the columns with
each other, but not the microseconds with other tables:

| µs of CPU per delivery, 4096 B | mosquitto | bare | flotilla | bare ÷ mosquitto | flotilla ÷ mosquitto |
| --- | ---: | ---: | ---: | ---: | ---: |
| fan-in QoS 0, full load | 10.8 | 6.0 | 9.8 | 0.56 | 0.91 |
| fan-out QoS 0, full load | 12.6 | 4.0 | 5.3 | 0.31 | 0.42 |
| fan-in QoS 1, full load | 24.6 | – | 14.7 | – | 0.60 |
| fan-out QoS 1, full load | 18.2 | – | 10.7 | – | 0.59 |
| fan-in QoS 0, 5,000/s | 17.6 | 19.7 | 26.3 | 1.12 | 1.49 |
| fan-out QoS 0, 5,000/s | 18.3 | 17.9 | 23.0 | 0.98 | 1.26 |

With payloads of 4 KB at QoS 0, the goals of 0.5 (fan-in) and 0.25 (fan-out) are therefore below the cost of \`node:tls\`
alone. With one message per write, Node.js costs about as much as Mosquitto: no messages can be combined, each message
is one TLS record and one system call for both, and Node.js adds the cost of its streams.

- Before output was collected in reusable buffers, each message of 4 KB allocated 16 KB outside V8's heap, and V8
  marked its whole heap for each 64 MB of that, which took up to half of the broker's CPU time (under the same
  conditions: fan-in QoS 0 9 to 29 µs, fan-out QoS 0 11.5, fan-out QoS 1 20.3). Full marks are now rare; garbage
  collection still takes about an eighth of Flotilla's CPU time.
- Encryption and decryption take 7 % of it. Both brokers negotiate TLS_AES_256_GCM_SHA384; on this
  processor AES-128 is not faster. Young generations of 1, 2, 4 and 8 MB make no measurable difference.
- Reading into a preallocated buffer would save one allocation per read, but the TLS sockets of a server have no public
  API for it, nor for bypassing the stream to the handle of the TLS socket.
- Flotilla checks its files for changes twenty times per second. This takes 1 % of a core when idle, or 2 µs per message
  at 5,000/s.
`;

/** Where the memory of an idle connection goes. */
export const memoryText = `
### Where the memory of an idle connection goes

On a bare \`node:tls\` server without MQTT, a TCP connection takes about 5 KB, a TLS 1.3 connection takes 31 KB without
a client certificate and 54 to 64 KB with one (TLS 1.2 with one: 41 KB); 4 to 5 KB of this are JavaScript objects. The
session layer adds almost nothing. The following settings were tried (KB per connection):

| bare server, 2,000 connections | KB |
| --- | ---: |
| default settings | 64.4 |
| \`MALLOC_TRIM_THRESHOLD_=65536\` | 63.8 |
| \`MALLOC_ARENA_MAX=1\` | 65.5 |
| \`MALLOC_TOP_PAD_=0\` and trimming at 4 KB | 65.1 |
| glibc's thread cache off | 66.6 |
| no session tickets | 63.1 |
| \`--max-semi-space-size=1\` | 61.4 |
| \`MALLOC_MMAP_THRESHOLD_=32768\` | 59.8 |
| \`MALLOC_MMAP_THRESHOLD_=16384\` | 58.2 |

| session layer, 5,000 connections, one subscription each | KB |
| --- | ---: |
| default settings | 63.8 |
| \`MALLOC_MMAP_THRESHOLD_=8192\` | 58.8 |
| the same and \`--max-semi-space-size=4\` | 56.1 |

Node.js allocates a read buffer of 64 KB for each TLS connection, and the handshake touches one or two pages of it. If
the buffer has its own memory mapping, only these pages use memory; between other allocations, all pages do sooner or
later. \`MALLOC_MMAP_MAX_=30000\` keeps the number of mappings below the kernel's limit. Flotilla does not set this
itself, because every read buffer then becomes a mapping, which makes 4 KB messages 15 to 30 % more expensive.

| the whole broker, 5,000 connections, one subscription each | KB |
| --- | ---: |
| default settings | 71.8 |
| \`--max-semi-space-size=4\` (as \`flotilla up\` restarts itself) | 64 to 66 |
| the same and \`MALLOC_MMAP_THRESHOLD_=8192\` | 62.6 |
| \`--max-semi-space-size=4\`, with less state per idle connection | 61.8 |
| the same with \`--max-semi-space-size=2\` | 61.7 |
| with 4 again, twenty seconds later, after V8 collected the garbage of connecting | 60.7 |
| the same on a quiet machine, four runs | 59.7, 59.8, 59.8, 61.3 |
| the same in short runs on a busy machine, alternating: glibc's allocator | 65.5, 66.5 |
| the same with jemalloc 5.3 (\`memory.allocator\`) | 59.8, 49.0 |

The same with 1,500 connections: 64.4 before, 61.3 with less state per connection (no list of protocols that Node.js
copies for each connection, no state of the handshake gate, topic caches created on first use), 57 after a while;
65 with \`MALLOC_TRIM_THRESHOLD_=65536\`, 60 to 64 with \`MALLOC_ARENA_MAX=1\`, 62.6 without the gate before TLS. None of
these settings is worthwhile. About 9 KB of the remaining memory are the JavaScript objects of a connection, most of
them created by Node.js (two sockets, four stream states, their handles). The rest belongs to OpenSSL and to the buffers
that Node.js keeps for it; JavaScript code cannot release it.
`;

/** Results of bench/kill-bench.ts. */
export const killsText = `
## A hundred kills

\`node bench/kill-bench.ts\` kills the whole broker (\`kill -9\`) a hundred times at random times, under QoS 1
and 2 load from four devices with the durable store. One subscriber is connected all the time, another one is offline
until the end. \`--seed\` selects the times. Results of 2026-11-21 on the machine above, which also did other work:

| seed | acknowledged | deliveries | acknowledged and lost | QoS 2 twice | QoS 2 out of order | sessions lost |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| 1 | 246992 | 496538 | 0 | 0 | 0 | 0 |
| 2 | 103806 | 210427 | 0 | 0 | 0 | 0 |

1597 and 1613 QoS 1 messages were delivered twice, which the protocol allows. Loading 100,000 queued messages takes the
store 0.3 to 0.4 s of CPU time; this is part of the restart time in the table above. A test runs three kills
(test/integration/store-kill.test.ts).
`;
