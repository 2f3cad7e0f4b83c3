/**
 * The policy of a new state folder.
 *
 * @module
 */

/** The text of policy.yaml, with comments. */
export const defaultPolicyText = `# The permissions of each role. What no rule allows is denied, and a rule that denies always wins.
# Test a change with "flotilla policy check" and "flotilla policy explain" before you save it.
# The broker loads a saved file within a second. If the file is not valid, the previous one stays in force.
#
# A rule has allow or deny (publish, subscribe, receive), topics, and conditions (qos, retain,
# payloadMaxBytes, payloadMinBytes, addresses, when). Topics can contain {device}, {group}, {role} and
# {attr.NAME}. A rule does not apply to an identity that has no value for them.
version: 1

# What happens on a denied PUBLISH of an MQTT 3.1.1 client: close the connection, or drop the message.
# onDenied: close

roles:
  # Every enrolled device.
  device:
    clientIds: exact # the client id is the device id; prefix: also {device}/anything
    rules:
      - name: own topics
        allow: [publish, subscribe]
        topics: ['devices/{device}/#']
      - name: own renewal
        allow: [publish]
        topics: ['$fleet/certs/{device}/renew']
      - name: own renewal answers
        allow: [subscribe]
        topics: ['$fleet/certs/{device}/+']

  # Backends: flotilla service create --role service
  service:
    clientIds: prefix
    rules:
      - name: watch the fleet
        allow: [subscribe]
        topics: ['devices/#', '$fleet/#']
      - name: command the fleet
        allow: [publish]
        topics: ['devices/+/commands/#']
    limits: # a backend retains messages for the whole fleet
      retainedMax: 1000000
      retainedMaxBytes: 536870912

  # Tools of operators.
  admin:
    extends: [service]
    clientIds: prefix
    rules:
      - name: speak for any device
        allow: [publish]
        topics: ['devices/#']

  # Brokers connect to the enrollment service only. They have no permissions over MQTT.
  broker:
    rules: []
`;
