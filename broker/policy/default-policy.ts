/**
 * The policy that a new state starts with.
 *
 * @module
 */
export const defaultPolicyText = `# Who may do what. Nothing is allowed that no rule allows, and a rule that denies always wins.
# Try a change with "flotilla policy check" and "flotilla policy explain" before you save it;
# the broker takes a saved file over within a second, and keeps the old one when this is not valid.
#
# A rule: allow or deny (publish, subscribe, receive), topics, and conditions (qos, retain,
# payloadMaxBytes, payloadMinBytes, addresses). In topics stand {device}, {group}, {role} and
# {attr.NAME}; a rule whose value is missing does not apply.
version: 1

# What a PUBLISH that is denied does on MQTT 3.1.1, which has no answer for it: close or drop.
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

  # Operators' own tools.
  admin:
    extends: [service]
    clientIds: prefix
    rules:
      - name: speak for any device
        allow: [publish]
        topics: ['devices/#']

  # Brokers take the directory from the enrollment service; over MQTT they have nothing to do.
  broker:
    rules: []
`;
