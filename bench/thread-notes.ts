/**
 * The section of docs/benchmarks.md about fronts.
 *
 * @module
 */

/** Results of the prototype, and what follows from them. */
export const threadsText = `
## What more threads bring

With \`broker.fronts: n\`, TLS and sockets are in n threads, and one thread has the sessions.
\`npm run bench -- --only scaling\` measures the CPU time per thread of the current code, and
\`node bench/storm-bench.ts --brokers flotilla,flotilla-2\` a reconnect storm. The values below are older: they are those of the
prototype of this transport, with the same rings and the same session layer (memory store), on a machine with two cores. They are
the quietest windows of several runs, as CPU time of the core thread + all fronts:

| µs per delivery, 100 B | no front | one front | two fronts |
| --- | ---: | ---: | ---: |
| fan-in QoS 0, full load | 0.42 | 0.21 + 0.33 | 0.24 + 0.42 |
| fan-in QoS 1, full load | 0.93 | 0.47 + 0.61 | 0.75 + 0.94 |
| fan-out QoS 0, full load | 0.45 | 0.07 + 0.33 | 0.07 + 0.36 |
| fan-out QoS 1, full load | 0.96 | 0.28 + 0.59 | 0.33 + 0.65 |
| fan-in QoS 0, 20,000/s | 8.0 | 2.4 + 9.3 | 4.1 + 13.3 |
| fan-in QoS 1, 20,000/s | 12.6 | 4.3 + 15.6 | 6.0 + 20.5 |
| fan-out QoS 0, 20,000/s | 14.7 | 1.1 + 12.9 | 1.3 + 14.4 |
| fan-out QoS 1, 20,000/s | 22.1 | 2.6 + 17.3 | 3.0 + 17.1 |
| full handshake, ms | 1.1 to 1.4 | 0.1 + 1.1 | 0.1 + 1.2 |

With 10,000 connections, one message in and one out each, the core thread alone took 1.20 µs per message at QoS 0 and 1.82 at
QoS 1: 830,000 and 550,000 messages per second when it is saturated. Derived from that, not measured: messages per second if all
cores are used and the kernel distributes connections evenly.

| cores | QoS 0 | QoS 1 |
| --- | ---: | ---: |
| 2, without fronts (one core) | 42,000 | 24,500 |
| 4 | 158,000 | 108,000 |
| 8 | 316,000 | 216,000 |
| 16 | 632,000 | 432,000 |

On two cores, fronts cost more than they bring, except in reconnect storms. A front takes 17 MB of memory in the built package and 28 MB
from a clone, where each thread loads the compiler that removes types, and up to 6 MB for its rings.
`;
