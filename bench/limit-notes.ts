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
thread in steps of up to 4 ms. Highest values of two to six runs of each row on 2026-11-26, during development, on a machine with a
load average of 13 to 17:

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

The costs of a message that goes to thousands of receivers, and of the answers to questions of operators, are not in this table.

## A million retained messages

\`node bench/retained-bench.ts\` fills a store with 1,000,000 retained messages of 100 B on topics of 32 levels (76 characters), then
opens it in a new process. Runs on 2026-11-26, three before the change (load average 4 to 13) and seven after it (13 to 25). It is the
store alone, not a whole broker:

| | resident memory, MiB | JavaScript heap, MiB | CPU until open, s |
| --- | ---: | ---: | ---: |
| an object and a string for each message | 635 to 649 | 404 to 420 | 5.7 to 7.2 |
| records in pages outside of the heap | 494 to 564 | 204 to 232 | 6.8 to 9.0 |

The wall time until open was 8 to 17 s before and 23 to 41 s after, with more load on the machine: it allows no comparison. A process
that has not opened the store needs 82 to 88 MiB. A message of this kind needs about 330 bytes: 115 for its record, 96 for its topic, the rest
for its place in the tree of topics; limits count 386.
`;
