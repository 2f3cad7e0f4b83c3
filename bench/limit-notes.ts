/**
 * The sections of docs/benchmarks.md about what one client can cost others.
 *
 * @module
 */

/** Results of bench/stall-bench.ts and bench/retained-bench.ts. */
export const limitsText = `
## The longest turn of the event loop

\`node bench/stall-bench.ts\` measures the longest turn of the event loop for each packet that a device may send at the
default limits, and for changes of policy and directory: CPU time of the main thread with garbage collection, without a
network. No turn with clients may take longer than 50 ms; the program exits with 1 otherwise. The kernel counts the time of a
thread in steps of up to 4 ms. Highest values of three to five runs on 2026-11-26, on a machine with a load average of 13 to 17:

| packet or change | ms |
| --- | ---: |
| CONNECT with a will of 64 KB and all properties | 6.3 |
| CONNECT that resumes a session with 10,000 queued messages | 7.8 |
| CONNECT that takes over a session with 10,000 queued messages | 2.7 |
| CONNECT with Clean Start that deletes 10,000 queued messages | 5.6 |
| DISCONNECT that ends a session with 10,000 queued messages | 6.8 |
| PUBLISH of 1 MB, retained, QoS 0, 1, 2 | 7.4 |
| 64 KB of PUBLISH packets to 5 backends with stored sessions, QoS 1 | 26.5 |
| 64 KB of retained PUBLISH packets on new topics of 32 levels | 32.0 |
| SUBSCRIBE of 63 filters that match 10,000 retained messages of the device | 18.6 |
| SUBSCRIBE of a backend over 300,000 retained messages | 30.1 |
| SUBSCRIBE of 100 filters with 100,000 cached routes | 30.2 |
| UNSUBSCRIBE of 100 filters with 100,000 cached routes | 10.9 |
| 64 KB of PINGREQ, PUBREL, PUBACK, PUBREC, PUBCOMP | 5.5 |
| a new policy for 5,000 connections with 2 subscriptions each | 11.1 |
| a snapshot that revokes 2,000 of 5,000 connected devices | 9.0 |
| an identity with 16 sessions and 160,000 queued messages is deleted | 12.6 |
| the end of a snapshot of 300,000 identities, one of them deleted | 34.2 |
| 300,000 identities are written to the disk | 7.4 |
| 300,000 identities are read from the disk, at the start | 161.2 |

Before, a new policy took 30 µs for each connection in one turn (150 ms for 5,000), and writing 300,000 identities about 900 ms.
A message costs its turn about 1 µs for each connected receiver at QoS 0 and 4 µs for each stored session at QoS 1.

## A million retained messages

\`node bench/retained-bench.ts\` fills a store with 1,000,000 retained messages of 100 B on topics of 32 levels (76 characters), then
opens it in a new process. Three runs each at the same time, load average 13:

| | resident memory, MiB | JavaScript heap, MiB | CPU until open, s |
| --- | ---: | ---: | ---: |
| an object and a string for each message | 635 to 649 | 404 to 420 | 5.7 to 7.2 |
| records in pages outside of the heap | 491 to 511 | 207 to 209 | 6.8 to 8.1 |

An open store without messages needs 88 MiB of it. A message of this kind needs about 330 bytes: 115 for its record, 96 for its topic, the rest
for its place in the tree of topics; limits count 386.
`;
