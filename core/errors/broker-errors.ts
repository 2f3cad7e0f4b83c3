/** Errors of broker. @module */
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
  },
  'certificate-expired': {
    title: 'The certificate has expired',
    advice:
      'Renew it; after the grace period the device needs a new enrollment token. Check its clock.',
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'certificate-not-yet-valid': {
    title: 'The certificate is not valid yet',
    advice: 'Check the clocks of the broker and of the enrollment service.',
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'certificate-wrong-purpose': {
    title: 'The certificate is not meant for clients',
    advice: 'Use a certificate made by device enroll or service create, not one of a server.',
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'certificate-unknown': {
    title: 'The certificate is not one of those that the directory lists for this identity',
    advice: 'Enroll again; if it was just issued, check that the broker receives the feed.',
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'certificate-revoked': {
    title: 'The certificate is revoked',
    advice: 'Enroll the device again with a new key and a new token, if it may return.',
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
    advice: 'Enroll the device again, if it may return.',
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'directory-missing': {
    title: 'The broker has not received the directory yet',
    advice: 'Check that the enrollment service runs and that the broker reaches it.',
    mqtt5: 0x88,
    mqtt3: 3,
  },
  'alpn-unsupported': {
    title: 'The client asked for a protocol that is not spoken here',
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
  'handshakes-too-many': {
    title: 'Too many TLS handshakes are waiting',
    advice: 'Devices should wait longer, with jitter, before they connect again.',
  },
  'connections-too-many': {
    title: 'The broker has all the connections it may have',
    advice: 'Raise limits.broker.connectionsMax if the machine can bear it.',
    mqtt5: 0x97,
    mqtt3: 3,
  },
  'device-connections-too-many': {
    title: 'The identity has all the connections it may have',
    advice: 'Close one first, or raise connections in the limits of its role.',
    mqtt5: 0x97,
    mqtt3: 3,
  },
  'device-flapping': {
    title: 'The device connects too often',
    advice: 'Let it wait longer, with jitter, before it connects again.',
    mqtt5: 0x9f,
    mqtt3: 3,
  },
  'device-cloned': {
    title: 'The same certificate is in use in two places',
    advice: 'Find the copy; revoke the certificate and enroll the true device again.',
    mqtt5: 0x98,
    mqtt3: 5,
  },
  'device-overlapping': {
    title: 'Connections of the same identity take the session from each other',
    advice:
      'Look for a copy of the certificate; where it is the network, let the device send keep-alives more often.',
    mqtt5: 0x98,
    mqtt3: 5,
  },
  'connection-too-old': {
    title: 'The connection has reached its greatest age',
    advice: 'The device may connect again at once.',
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
    title: 'The payload is larger than the limits of the role allow',
    advice: 'Send less at once, or raise payloadMaxBytes of the role.',
    mqtt5: 0x97,
  },
  'plug-in-refused': {
    title: 'A plug-in of the broker refused it',
    advice: 'The reason is in what the plug-in logs.',
    mqtt5: 0x87,
    mqtt3: 5,
  },
  'closed-by-plug-in': {
    title: 'A plug-in of the broker ended the connection',
    advice: 'The reason is in what the plug-in logs.',
    mqtt5: 0x98,
  },
  'publish-denied': {
    title: 'The policy does not allow to publish this',
    advice: 'Ask flotilla policy explain for the rule.',
    mqtt5: 0x87,
  },
  'subscribe-denied': {
    title: 'The policy does not allow this subscription',
    advice: 'Ask flotilla policy explain for the rule; every topic of the filter must be allowed.',
    mqtt5: 0x87,
  },
  'receive-denied': {
    title: 'The policy does not allow to receive this',
    advice: 'Ask flotilla policy explain for the rule.',
    mqtt5: 0x87,
  },
  'topic-reserved': {
    title: 'The topic belongs to the broker',
    advice: 'Clients cannot write to $fleet/ or touch $SYS/.',
    mqtt5: 0x87,
  },
  'policy-invalid': {
    title: 'The policy file is not valid',
    advice: 'Correct it at the place named; until then the policy that was in force stays.',
    exit: 2,
  },
  'policy-test-invalid': {
    title: 'The file of expected decisions is not valid',
    advice: 'Correct it at the place named.',
    exit: 2,
  },
  'policy-unreadable': {
    title: 'The policy file cannot be read',
    advice: 'Check the path and the permissions.',
    exit: 2,
  },
  'broker-identity-invalid': {
    title: 'The certificate, key or CA of the broker cannot be used',
    advice: 'Check the files named; flotilla init makes new ones where they are missing.',
  },
  'renewal-invalid': {
    title: 'The renewal request cannot be understood',
    advice: 'Publish the CSR (PEM or DER), or JSON {"csr", "proof"}, to $fleet/certs/{id}/renew.',
    http: 400,
  },
  'renewal-busy': {
    title: 'A renewal of this device is under way already, or too many of others are',
    advice: 'Wait for its answer, or try again in some seconds.',
    http: 429,
  },
  // The session layer.
  'websocket-invalid': {
    title: 'This is not an upgrade to MQTT over WebSocket',
    advice:
      'Ask for WebSocket version 13 with the subprotocol mqtt; MQTT over TLS has its own port.',
    http: 400,
  },
  'connect-timeout': {
    title: 'No CONNECT came in time',
    advice: 'The client must send CONNECT right after the TLS handshake.',
  },
  'keep-alive-timeout': {
    title: 'The client was silent for longer than its keep alive',
    advice: 'Check the network, or choose a longer keep alive.',
    mqtt5: 0x8d,
  },
  'session-taken-over': {
    title: 'Another connection with the same client id took the session',
    advice: 'Give each connection its own client id.',
    mqtt5: 0x8e,
  },
  'server-shutting-down': {
    title: 'The broker is shutting down',
    advice: 'Connect again, with a random wait.',
    mqtt5: 0x8b,
    mqtt3: 3,
  },
  'packet-too-large': {
    title: 'The packet is larger than allowed',
    advice: 'Send less at once, or raise limits.broker.packetMaxBytes.',
    mqtt5: 0x95,
  },
  'protocol-error': {
    title: 'The client broke the protocol',
    advice: 'The detail names the rule; the fault is in the client.',
    mqtt5: 0x82,
  },
  'outbound-too-slow': {
    title: 'The client does not read fast enough',
    advice: 'Subscribe to less, or read faster; messages would have piled up without limit.',
    mqtt5: 0x97,
  },
  'packet-malformed': {
    title: 'A packet cannot be parsed',
    advice: 'The detail names the rule; the fault is in the client, or something else than MQTT.',
    mqtt5: 0x81,
  },
  'protocol-version-unsupported': {
    title: 'The client speaks a version of MQTT that is not spoken here',
    advice: 'Use MQTT 3.1, 3.1.1 or 5.0.',
    mqtt5: 0x84,
    mqtt3: 1,
  },
  'client-id-missing': {
    title: 'An empty client id cannot have a kept session',
    advice: 'Send a client id, or set Clean Session.',
    mqtt5: 0x85,
    mqtt3: 2,
  },
  'authentication-method-unsupported': {
    title: 'The client asked for an authentication method',
    advice: 'Leave it out: the client certificate is the only proof that counts here.',
    mqtt5: 0x8c,
  },
  'topic-name-invalid': {
    title: 'This is not a topic name',
    advice:
      'A name has at least one character, no wildcards, no U+0000, and the lengths in limits.broker.',
    mqtt5: 0x90,
    mqtt3: 5,
  },
  'topic-filter-invalid': {
    title: 'This is not a topic filter',
    advice:
      'In a filter + fills a whole level and # the last ones; the lengths are in limits.broker.',
    mqtt5: 0x8f,
  },
  'topic-alias-invalid': {
    title: 'The topic alias is 0, too large, or stands for nothing',
    advice: 'Use aliases from 1 to the Topic Alias Maximum of the CONNACK, and set them first.',
    mqtt5: 0x94,
  },
  'receive-maximum-exceeded': {
    title: 'The client has more publishes in flight than it may',
    advice: 'Wait for acknowledgements as the Receive Maximum of the CONNACK says.',
    mqtt5: 0x93,
  },
  'payload-format-invalid': {
    title: 'The payload is not the UTF-8 that it says it is',
    advice: 'Correct the payload, or leave the payload format indicator out.',
    mqtt5: 0x99,
    mqtt3: 5,
  },
  'subscriptions-too-many': {
    title: 'The session has all the subscriptions it may have',
    advice: 'Use wildcards, or raise subscriptions in the limits of the role.',
    mqtt5: 0x97,
  },
  'filters-too-many': {
    title: 'A packet names more topic filters than it may',
    advice:
      'Use wildcards, or several packets; the limit is limits.broker.subscriptionsPerPacketMax.',
    mqtt5: 0x97,
  },
  'disconnected-with-will': {
    title: 'The client left and asked for its will to be published',
    advice: 'This is what the client chose.',
    mqtt5: 0x04,
  },
  'connection-lost': {
    title: 'The connection was lost',
    advice: 'Check the network between the device and the broker.',
  },
  // The session store.
  'store-newer': {
    title: 'The session store was written by a newer version',
    advice: 'Run the version that wrote it, or move the file away: its sessions are then lost.',
  },
  'store-damaged': {
    title: 'The session store is damaged',
    advice:
      'Nothing was changed. Restore the file from a backup, or move it away: its sessions are lost.',
  },
  'store-in-use': {
    title: 'The session store is in use by another process',
    advice: 'Stop the other broker, or give this one its own state folder.',
  },
  'store-open-failed': {
    title: 'The session store cannot be opened',
    advice: 'Check the folder, its permissions and the space on the disk.',
  },
  'store-write-failed': {
    title: 'The session store cannot be written',
    advice: 'Check the space on the disk and its health, then start the broker again.',
    mqtt5: 0x83,
  },
  'store-full': {
    title: 'The session store is full',
    advice: 'Raise limits.broker.queuedTotalMaxMessages, queuedTotalMaxBytes or retainedMax.',
    mqtt5: 0x97,
  },
});
