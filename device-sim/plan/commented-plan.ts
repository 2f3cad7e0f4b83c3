/**
 * The plan that `flotilla sim init` writes: small, ready to run, and with comments.
 *
 * @module
 */

export const commentedPlan = `# A plan of the Flotilla simulator. Run it: flotilla sim run plan.yaml
# Check it without running: flotilla sim check plan.yaml. All keys: docs/plan.schema.json.
name: first
description: Twenty-five devices publish, reconnect all at once, and must lose no message.
# The same seed gives the same ids, schedules, payloads and faults (default: a new seed per run).
seed: '1'

# Groups of devices. Each device has its own key and its own certificate.
fleet:
  - group: meters
    count: 20
    id: '{group}-{n}' # {group}, {n} (the device's number), {seed}
    client: mqttjs # the MQTT.js library; or light, for tens of thousands on one machine
    mqtt: '3.1.1' # or "5.0"
    session: clean # or kept: the broker keeps subscriptions and queues while a device is offline
    keepAlive: 60s
    tls:
      version: any # or "1.2", "1.3"
      resume: true # offer the last TLS session when reconnecting
    publish:
      - topic: devices/{device}/telemetry
        qos: 1
        rate: 1/s # 5/s, 1/10s, 30/m, or a number per second
        spread: jitter # fixed, jitter or poisson; never waits for a reply
        jitter: 0.2
        payload:
          kind: walk # sequence, walk, template or replay
          fields:
            temperature: { start: 21, step: 0.2, min: -20, max: 60, decimals: 1 }
  - group: gateways
    count: 5
    client: light
    mqtt: '5.0'
    session: kept
    publish:
      - topic: devices/{device}/events
        rate: 6/m
        spread: poisson
        payload:
          kind: template
          text: '{"n":{{n}},"state":"{{pick ok ok ok warn}}","load":{{float 0 1 2}}}'

run:
  observers: 1 # service subscribers that check what is delivered
  drain: 10s # how long to wait at the end for messages in flight
  keep: false # true: keep keys and certificates for the next run
  # workers: 2
  # sourceAddresses: [127.0.0.0/28] # if one address has too few ports

# Phases run one after the other; those under parallel run at the same time.
phases:
  - phase: enroll
  - phase: ramp
    rate: 25/s
  - phase: steady
    duration: 10s
  - phase: reconnect-storm
    share: 0.8
  - parallel:
      - phase: burst
        duration: 5s
        factor: 5
        groups: [meters]
      - phase: command-roundtrip
        duration: 5s
        rate: 10/s

# Conditions on figures of the report. If one is missed, the exit code is 3.
thresholds:
  - devices.failed <= 0
  - messages.lost <= 0
  - messages.misdelivered <= 0
  - latencyMs.endToEnd.p99 <= 500ms
  - phases.reconnect-storm.figures.lastBackMs <= 10s
`;
