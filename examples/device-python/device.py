"""A device in Python: connects with the certificate of its folder, publishes telemetry and executes commands.

    flotilla device enroll --id pump-7 --out pump-7
    HOST=127.0.0.1 PORT=8883 python3 device.py pump-7

A command is a message on devices/{id}/commands/{name}; the reply goes to its response topic with its correlation
data, or to devices/{id}/replies/{name}.
Commands: echo (returns its payload), interval (seconds between two measurements).

Another program renews the certificate, for example "flotilla device renew" from a systemd timer
(deploy/systemd). When the folder changes, the device connects again with the new files.
"""

import json
import os
import random
import signal
import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HOST = os.environ.get("HOST", "127.0.0.1")
PORT = int(os.environ.get("PORT", "8883"))

stopped = threading.Event()


def reply_properties(message):
    """The correlation data of a command, which shows to which command a reply belongs."""
    data = getattr(message.properties, "CorrelationData", None)
    if data is None:
        return None
    properties = Properties(PacketTypes.PUBLISH)
    properties.CorrelationData = data
    return properties


class Device:
    """One connection, with the files of one version of the identity."""

    def __init__(self, folder):
        # Resolved once, so that key and certificate belong together.
        self.version = os.path.realpath(os.path.join(folder, ".current"))
        with open(os.path.join(self.version, "enrollment.json"), encoding="utf-8") as file:
            self.id = json.load(file)["id"]
        self.interval_seconds = float(os.environ.get("INTERVAL_SECONDS", "10"))
        versions = getattr(mqtt, "CallbackAPIVersion", None)  # required by paho 2, unknown to paho 1
        arguments = [versions.VERSION2] if versions else []
        self.client = mqtt.Client(*arguments, client_id=self.id, protocol=mqtt.MQTTv5)
        self.client.tls_set(
            ca_certs=os.path.join(self.version, "ca.pem"),
            certfile=os.path.join(self.version, "chain.pem"),
            keyfile=os.path.join(self.version, "key.pem"),
        )
        self.client.reconnect_delay_set(min_delay=1, max_delay=60)
        self.client.on_connect = self.on_connect
        self.client.on_message = self.on_message

    def connect(self):
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 86_400  # the broker keeps commands for a day
        self.client.connect_async(HOST, PORT, keepalive=60, clean_start=False, properties=properties)
        self.client.loop_start()

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()

    def on_connect(self, client, data, flags, code, properties=None):
        failed = code.is_failure if hasattr(code, "is_failure") else code != 0
        if failed:
            print(f"refused: {code}", flush=True)
            return
        print(f"connected as {self.id}", flush=True)
        client.subscribe(f"devices/{self.id}/commands/+", qos=1)

    def on_message(self, client, data, message):
        command = message.topic.rsplit("/", 1)[1]
        try:
            reply = self.execute(command, message.payload.decode())
        except ValueError as error:
            reply = {"error": str(error)}
        print(f"{command}: {json.dumps(reply)}", flush=True)
        topic = getattr(message.properties, "ResponseTopic", f"devices/{self.id}/replies/{command}")
        client.publish(topic, json.dumps(reply), qos=1, properties=reply_properties(message))

    def execute(self, command, payload):
        if command == "echo":
            return {"echo": payload}
        if command == "interval":
            self.interval_seconds = min(max(float(payload), 1.0), 3600.0)
            return {"intervalSeconds": self.interval_seconds}
        raise ValueError(f"unknown command {command}")

    def publish_telemetry(self):
        # While the connection is down, a measurement is not worth keeping: the next one is newer.
        if self.client.is_connected():
            text = json.dumps({"temperature": random.uniform(20, 25), "at": time.time()})
            self.client.publish(f"devices/{self.id}/telemetry", text, qos=1)


def main(folder):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    device = Device(folder)
    device.connect()
    while not stopped.wait(device.interval_seconds):
        if os.path.realpath(os.path.join(folder, ".current")) != device.version:
            device.close()
            device = Device(folder)
            device.connect()
        device.publish_telemetry()
    device.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: device.py FOLDER")
    main(sys.argv[1])
