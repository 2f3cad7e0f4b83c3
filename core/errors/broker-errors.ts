/** Errors of the broker. @module */
import { errors } from './error-spec.ts';

export const brokerErrors = errors({
  // Admission: TLS and certificate. None of these sees a byte of MQTT processed.
  'certificate-missing': {
    title: 'The client presented no certificate',
    advice: 'Configure the client with its certificate and key; enroll it first if it has none.',
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'certificate-untrusted': {
    title: 'The certificate was not issued by a CA that this broker trusts',
    advice:
      'Enroll the device with this fleet; send the chain (leaf, then issuer), not only a leaf.',
    mqtt5: 0x87,
    mqtt3: 5,
    exit: 1,
  },
  'certificate-issuer-withdrawn': {
    title: 'The issuer of the certificate is not trusted any more',
    advice:
      'Renew the certificate at the enrollment service if it allows that (enroll.renewWithdrawn), otherwise enroll the device again with a new token.',
    mqtt5: 0x87,
    mqtt3: 5,
    exit: 1,
  },
  'certificate-expired': {
    title: 'The certificate has expired',
    advice:
      'Renew it; after the grace period the device needs a new enrollment token. Check its clock.',
    mqtt5: 0x87,
    mqtt3: 5,
    exit: 1,
  },
  'certificate-not-yet-valid': {
    title: 'The certificate is not valid yet',
    advice: 'Check the clocks of the broker and of the enrollment service.',
    mqtt5: 0x87,
    mqtt3: 5,
    exit: 1,
  },
  'certificate-wrong-purpose': {
    title: 'The certificate is not meant for clients',
    advice: 'Use a certificate made by device enroll or service create, not one of a server.',
    mqtt5: 0x87,
    mqtt3: 5,
    exit: 1,
  },
  'certificate-unknown': {
    title: 'The directory does not list this certificate for the identity',
    advice:
      'Enroll again; if the certificate was just issued, check that the broker receives the feed.',
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'certificate-revoked': {
    title: 'The certificate is revoked',
    advice: 'Enroll the device again with a new key and a new token if it is allowed to return.',
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'certificate-retired': {
    title: 'The certificate was replaced by a newer one',
    advice: 'Use the newest certificate of the device.',
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'device-unknown': {
    title: 'No such identity is registered',
    advice: 'Enroll the device, or check that the broker receives the feed.',
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'device-removed': {
    title: 'The identity was deleted',
    advice: 'Enroll the device again if it is allowed to return.',
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'directory-missing': {
    title: 'The broker has not received the directory yet',
    advice: 'Check that the enrollment service is running and that the broker can reach it.',
    mqtt5: 0x88,
    mqtt3: 3,
  },
  'alpn-unsupported': {
    title: 'The client requested an unsupported protocol',
    advice: 'Offer mqtt or x-amzn-mqtt-ca in ALPN, or none.',
  },
  'handshake-timeout': {
    title: 'The TLS handshake took too long',
    advice: 'Check the network; an attacker may hold handshakes open.',
  },
  'handshake-failed': {
    title: 'The TLS handshake failed',
    advice: 'The detail names the fault: TLS 1.2 or newer and a client certificate are required.',
  },
  'proxy-header-refused': {
    title: 'A PROXY protocol header came from an address that may not send one',
    advice:
      'Add the address of the load balancer to the setting proxies, or switch its header off.',
  },
  'proxy-header-missing': {
    title: 'A load balancer sent no PROXY protocol header',
    advice:
      'Switch it on (HAProxy: send-proxy-v2; nginx: proxy_protocol on), or remove the address from the setting proxies.',
  },
  'proxy-header-invalid': {
    title: 'A load balancer sent an invalid PROXY protocol header',
    advice:
      'Version 1 or 2 with the addresses of a TCP connection is expected; the detail names the fault.',
  },
  'handshakes-too-many': {
    title: 'Too many TLS handshakes are waiting',
    advice: 'Devices should wait longer, with jitter, before they connect again.',
  },
  'connections-too-many': {
    title: 'The broker has reached its connection limit',
    advice: 'Raise limits.broker.connectionsMax if the machine has the capacity.',
    mqtt5: 0x97,
    mqtt3: 3,
  },
  'device-connections-too-many': {
    title: 'The identity has reached its connection limit',
    advice: 'Close one first, or raise connections in the limits of its role.',
    mqtt5: 0x97,
    mqtt3: 3,
  },
  'device-flapping': {
    title: 'The device connects too often',
    advice: 'The device should wait longer, with jitter, before it connects again.',
    mqtt5: 0x9f,
    mqtt3: 3,
  },
  'device-cloned': {
    title: 'The same certificate is in use in two places',
    advice: 'Find the copy; revoke the certificate and enroll the genuine device again.',
    mqtt5: 0x98,
    mqtt3: 5,
  },
  'device-overlapping': {
    title: 'Connections of the same identity take over the session from each other',
    advice:
      'Look for a copy of the certificate. If the network is the cause, configure a shorter keep-alive on the device.',
    mqtt5: 0x98,
    mqtt3: 5,
  },
  'connection-too-old': {
    title: 'The connection has reached its maximum age',
    advice: 'The device may connect again immediately.',
    mqtt5: 0xa0,
  },
  // Policy.
  'client-id-not-allowed': {
    title: 'The client id does not belong to the identity',
    advice:
      'Use the device id as client id (or device id, slash, suffix, where the role allows prefix).',
    mqtt5: 0x85,
    mqtt3: 2,
  },
  'role-unknown': {
    title: 'The policy has no such role',
    advice: 'Add the role to policy.yaml, or give the identity another one.',
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'payload-too-large': {
    title: 'The payload is larger than the role allows',
    advice: 'Send smaller payloads, or raise payloadMaxBytes of the role.',
    mqtt5: 0x97,
  },
  'plug-in-refused': {
    title: 'A plug-in of the broker rejected the request',
    advice: 'See the log of the plug-in for the reason.',
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'plug-ins-not-possible': {
    title: 'A broker with partitions has no plug-ins',
    advice:
      'Remove cluster.partitions from the configuration, or connect what the plug-in does as a service over MQTT.',
    exit: 1,
  },
  'partition-moved': {
    title: 'Another node serves the partition of the identity now',
    advice: 'Connect again: any node of the cluster accepts the connection.',
    mqtt5: 0x9c,
    mqtt3: 3,
  },
  'closed-by-plug-in': {
    title: 'A plug-in of the broker closed the connection',
    advice: 'See the log of the plug-in for the reason.',
    mqtt5: 0x98,
  },
  'publish-denied': {
    title: 'The policy does not allow this publish',
    advice: 'Run flotilla policy explain to see the rule.',
    mqtt5: 0x87,
  },
  'subscribe-denied': {
    title: 'The policy does not allow this subscription',
    advice:
      'Run flotilla policy explain to see the rule; every topic that matches the filter must be allowed.',
    mqtt5: 0x87,
  },
  'receive-denied': {
    title: 'The policy does not allow the client to receive this message',
    advice: 'Run flotilla policy explain to see the rule.',
    mqtt5: 0x87,
  },
  'topic-reserved': {
    title: 'The topic is reserved for the broker',
    advice: 'Clients cannot publish to $fleet/ and cannot use $SYS/.',
    mqtt5: 0x87,
  },
  'policy-invalid': {
    title: 'The policy file is not valid',
    advice: 'Correct it at the given position; until then the previous policy remains in force.',
    exit: 2,
  },
  'policy-test-invalid': {
    title: 'The file of expected decisions is not valid',
    advice: 'Correct it at the given position.',
    exit: 2,
  },
  'policy-unreadable': {
    title: 'The policy file cannot be read',
    advice: 'Check the path and the permissions.',
    exit: 2,
  },
  'broker-identity-invalid': {
    title: 'The certificate, key or CA of the broker cannot be used',
    advice:
      'Check the named files: they belong together, and come from one flotilla service create or one copy of its folder.',
    exit: 1,
  },
  'broker-identity-missing': {
    title: 'This state folder has no identity of a broker',
    advice:
      'Create one on the machine of the enrollment service with flotilla service create --role broker --name NAME --names HOST --out DIR, and copy DIR to the named folder. If the enrollment service has this state folder, run flotilla up instead.',
    exit: 1,
  },
  'renewal-invalid': {
    title: 'The renewal request cannot be understood',
    advice: 'Publish the CSR (PEM or DER), or JSON {"csr", "proof"}, to $fleet/certs/{id}/renew.',
    http: 400,
    exit: null,
  },
  'renewal-busy': {
    title: 'A renewal of this device is already in progress, or too many others are',
    advice: 'Wait for the response, or try again in a few seconds.',
    http: 429,
    exit: null,
  },
  // The session layer.
  'websocket-invalid': {
    title: 'This is not a WebSocket upgrade for MQTT',
    advice:
      'Request WebSocket version 13 with the subprotocol mqtt; MQTT over TLS has its own port.',
    http: 400,
    exit: null,
  },
  'websocket-origin-refused': {
    title: 'A web page of another site may not connect over WebSocket',
    advice:
      'If the page is one of yours, add its origin to the setting broker.wssOrigins. Devices send no header Origin.',
    http: 403,
    exit: null,
  },
  'connect-timeout': {
    title: 'No CONNECT packet arrived in time',
    advice: 'The client must send CONNECT right after the TLS handshake.',
  },
  'keep-alive-timeout': {
    title: 'The client was silent for longer than its keep-alive allows',
    advice: 'Check the network, or choose a longer keep-alive.',
    mqtt5: 0x8d,
  },
  'disconnected-by-operator': {
    title: 'An operator ended the connection',
    advice: 'Connect again; to keep the device away, suspend it: flotilla device suspend.',
    mqtt5: 0x98,
  },
  'session-not-found': {
    title: 'There is no such session at this broker',
    advice:
      'Look at GET /v1/brokers/{broker}/sessions: it may have ended, or be at another broker.',
    http: 404,
  },
  'query-not-understood': {
    title: 'The broker does not understand this question',
    advice: 'Update the broker to the version of the enrollment service.',
    http: 501,
  },
  'session-taken-over': {
    title: 'Another connection with the same client id took over the session',
    advice: 'Give each connection its own client id.',
    mqtt5: 0x8e,
  },
  'server-shutting-down': {
    title: 'The broker is shutting down',
    advice: 'Connect again after a random delay.',
    mqtt5: 0x8b,
    mqtt3: 3,
  },
  'packet-too-large': {
    title: 'The packet is larger than allowed',
    advice: 'Send smaller packets, or raise limits.broker.packetMaxBytes.',
    mqtt5: 0x95,
  },
  'protocol-error': {
    title: 'The client violated the protocol',
    advice: 'The detail names the violated rule; the fault is in the client.',
    mqtt5: 0x82,
  },
  'outbound-too-slow': {
    title: 'The client does not read fast enough',
    advice:
      'Subscribe to fewer topics, or read faster; the broker does not buffer without a limit.',
    mqtt5: 0x97,
  },
  'delivery-unconfirmed': {
    title: 'A message or a subscription was not confirmed by all who must have it',
    advice:
      'The client connects again and sends what was not acknowledged. If it happens again, check the log of the broker.',
    mqtt5: 0x83,
  },
  'packet-malformed': {
    title: 'A packet cannot be parsed',
    advice:
      'The detail names the violated rule; the fault is in the client, or it does not speak MQTT.',
    mqtt5: 0x81,
  },
  'protocol-version-unsupported': {
    title: 'The MQTT version of the client is not supported',
    advice: 'Use MQTT 3.1, 3.1.1 or 5.0.',
    mqtt5: 0x84,
    mqtt3: 1,
  },
  'client-id-missing': {
    title: 'An empty client id cannot have a persistent session',
    advice: 'Send a client id, or set Clean Session.',
    mqtt5: 0x85,
    mqtt3: 2,
  },
  'authentication-method-unsupported': {
    title: 'The client requested an authentication method',
    advice: 'Omit it: the client certificate is the only supported authentication.',
    mqtt5: 0x8c,
  },
  'topic-name-invalid': {
    title: 'This is not a valid topic name',
    advice:
      'A topic name has at least one character, no wildcards and no U+0000, and is within the limits in limits.broker.',
    mqtt5: 0x90,
    mqtt3: 5,
  },
  'topic-filter-invalid': {
    title: 'This is not a valid topic filter',
    advice:
      'In a filter, + fills a whole level and # the last level; the limits are in limits.broker.',
    mqtt5: 0x8f,
  },
  'topic-alias-invalid': {
    title: 'The topic alias is 0, too large, or not defined',
    advice:
      'Use aliases from 1 to the Topic Alias Maximum of the CONNACK, and define them before use.',
    mqtt5: 0x94,
  },
  'receive-maximum-exceeded': {
    title: 'The client has more messages in flight than allowed',
    advice: 'Wait for acknowledgements as the Receive Maximum of the CONNACK requires.',
    mqtt5: 0x93,
  },
  'payload-format-invalid': {
    title: 'The payload is declared as UTF-8 but is not',
    advice: 'Correct the payload, or omit the payload format indicator.',
    mqtt5: 0x99,
    mqtt3: 5,
  },
  'sessions-too-many': {
    title: 'There is no room for another stored session',
    advice: 'Use Clean Start, delete identities that are not used, or raise sessionsTotalMax.',
    mqtt5: 0x97,
    mqtt3: 3,
  },
  'wills-too-large': {
    title: 'There is no room for the will message',
    advice: 'Use a smaller will, or raise willsPerDeviceMaxBytes or willsTotalMaxBytes.',
    mqtt5: 0x97,
    mqtt3: 3,
  },
  'memory-share-used': {
    title: 'The client uses more memory of the broker than its share',
    advice: 'Use fewer topic aliases, complete packets, and release QoS 2 messages.',
    mqtt5: 0x97,
  },
  'subscriptions-too-many': {
    title: 'The session has reached its subscription limit',
    advice: 'Use wildcards, or raise subscriptions in the limits of the role.',
    mqtt5: 0x97,
  },
  'filters-too-many': {
    title: 'A packet contains too many topic filters',
    advice:
      'Use wildcards, or several packets; the limit is limits.broker.subscriptionsPerPacketMax.',
    mqtt5: 0x97,
  },
  'disconnected-with-will': {
    title: 'The client disconnected and requested that its will be published',
    advice: 'No action is needed.',
    mqtt5: 0x04,
  },
  'connection-lost': {
    title: 'The connection was lost',
    advice: 'Check the network between the device and the broker.',
  },
  // The session store.
  'front-ended': {
    title: 'A front of the broker ended, and its connections were closed',
    advice: 'It is started again within a second. If it happens again, please report the error.',
  },
  'store-write-failed': {
    title: 'The session store cannot be written',
    advice: 'Check the free space and the health of the disk, then start the broker again.',
    mqtt5: 0x83,
    exit: 1,
  },
  'store-stalled': {
    title: 'The session store cannot be written at the moment',
    advice:
      'Free some space on the disk of the broker, or look at its database; it tries again every second.',
    mqtt5: 0x97,
    mqtt3: 3,
  },
  'store-full': {
    title: 'The session store is full',
    advice: 'Raise limits.broker.queuedTotalMaxMessages, queuedTotalMaxBytes or retainedMax.',
    mqtt5: 0x97,
  },
});
