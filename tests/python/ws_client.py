"""A client of ws1 and ws2 that shares nothing with the driver: websocket-client and cryptography.

    ws_client.py ws1|ws2 URL KEY USER PASSWORD [CA]

Logs in, sends an event, waits for two, closes. Prints what it saw as one line of JSON. It does
things as the clients do that people have: credentials padded with zeros up to whole blocks, ws1
with a date of 0 and upper-case digits, ws2 with names of members from both generations.
"""

import json
import ssl
import sys

import websocket
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

GUID = "FF:FF:FF:FF:FF:FF:FF:F5:00:00:00:00:00:02:00:00"
ZEROS = ":".join(["00"] * 16)


def encrypt(key, vector, user, password):
    """AES-128 in CBC mode over user:password and as many zeros as it takes; perhaps none."""
    text = f"{user}:{password}".encode()
    text += bytes(-len(text) % 16)
    encryptor = Cipher(algorithms.AES(key), modes.CBC(bytes.fromhex(vector))).encryptor()
    return encryptor.update(text) + encryptor.finalize()


class Client:
    """What both protocols have in common."""

    def __init__(self, url, authority):
        context = {"ca_certs": authority, "cert_reqs": ssl.CERT_REQUIRED} if authority else None
        self.socket = websocket.create_connection(url, timeout=60, sslopt=context)
        self.events = []

    def receive(self):
        return self.parse(self.socket.recv().strip())

    def answer(self):
        """The next answer; events before it are kept."""
        while True:
            message = self.receive()
            if not self.is_event(message):
                return message
            self.events.append(self.event(message))

    def wait_for_events(self, count):
        while len(self.events) < count:
            message = self.receive()
            assert self.is_event(message), message
            self.events.append(self.event(message))
        return self.events


class Ws1(Client):
    @staticmethod
    def parse(text):
        return text.split(";")

    @staticmethod
    def is_event(message):
        return message[0] == "E"

    @staticmethod
    def event(message):
        fields = message[1].split(",")
        return {
            "class": int(fields[1]),
            "type": int(fields[2]),
            "date": fields[4],
            "guid": fields[6],
            "data": [int(field, 0) for field in fields[7:]],
        }

    def must(self, command, expected=None):
        self.socket.send(f"C;{command}")
        answer = self.answer()
        word = expected or command.split(";")[0]
        assert answer[:2] == ["+", word], (command, answer)
        return answer[2:]

    def greeting(self):
        sign, word, sid = self.answer()
        assert (sign, word) == ("+", "AUTH0")
        return sid

    def log_in(self, sid, crypto):
        record = self.must(f"AUTH;{sid};{crypto.hex().upper()}", "AUTH1")
        assert len(record) >= 9, record

    def version(self):
        return self.must("VERSION")

    def set_filter(self, vscp_class):
        self.must(f"SETFILTER;0,{vscp_class},0,-;0,65535,0,-", "SF")

    def send_event(self, vscp_class, vscp_type, data):
        data = ",".join(map(str, data))
        self.socket.send(f"E;0,{vscp_class},{vscp_type},0,0,0,{GUID},{data}")
        answer = self.answer()
        assert answer == ["+", "EVENT"], answer


class Ws2(Client):
    @staticmethod
    def parse(text):
        return json.loads(text)

    @staticmethod
    def is_event(message):
        return message["type"] == "EVENT"

    @staticmethod
    def event(message):
        event = message["event"]
        return {
            "class": event["vscpClass"],
            "type": event["vscpType"],
            "date": event["vscpDateTime"],
            "guid": event["vscpGuid"],
            "data": event["vscpData"],
        }

    def must(self, command, args=None):
        # Whoever has no arguments sends an empty object.
        request = {"type": "CMD", "command": command, "args": args or {}}
        self.socket.send(json.dumps(request))
        answer = self.answer()
        assert (answer["type"], answer["command"]) == ("+", command), (command, answer)
        return answer["args"]

    def greeting(self):
        message = self.answer()
        # There is no command in it: that is how it is recognised.
        assert message["type"] == "+" and "command" not in message, message
        word, sid = message["args"]
        assert word == "AUTH0"
        return sid

    def log_in(self, sid, crypto):
        self.must("AUTH", {"iv": sid, "crypto": crypto.hex().upper()})

    def version(self):
        return self.must("VERSION")

    def set_filter(self, vscp_class):
        members = {
            "mask_priority": 0,
            "mask_class": 65535,
            "mask_type": 0,
            "mask_guid": ZEROS,
            "filter_priority": 0,
            "filter_class": vscp_class,
            "filter_type": 0,
            "filter_guid": ZEROS,
        }
        self.must("SETFILTER", members)

    def send_event(self, vscp_class, vscp_type, data):
        event = {
            "head": 0,
            "vscpClass": vscp_class,
            "vscpType": vscp_type,
            "obid": 0,
            "dateTime": "2020-02-20T20:20:20.123456Z",
            "timestamp": 0,
            "guid": GUID,
            "data": data,
            "note": "from Python",
        }
        self.socket.send(json.dumps({"type": "E", "event": event}))
        answer = self.answer()
        assert (answer["type"], answer["command"]) == ("+", "EVENT"), answer


def main():
    dialect, url, key, user, password, *authority = sys.argv[1:]
    client = {"ws1": Ws1, "ws2": Ws2}[dialect](url, authority[0] if authority else None)
    sid = client.greeting()
    assert len(sid) == 32 and sid == sid.upper(), sid
    seen = {"sid": sid}
    client.must("NOOP")
    client.log_in(sid, encrypt(bytes.fromhex(key), sid, user, password))
    client.must("NOOP")
    seen["version"] = client.version()
    client.set_filter(30)
    client.must("OPEN")
    client.send_event(30, 5, [1, 2, 3, 4, 5, 6])
    seen["events"] = client.wait_for_events(2)
    client.must("CLOSE")
    client.socket.close()
    print(json.dumps(seen))


main()
