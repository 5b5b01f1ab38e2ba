#!/usr/bin/env python3
"""Reads OrderPlaced as a release would that knows only its first two fields, and says what it passed over.

Protobuf writes each field as a number, a wire type and a value, so that a reader can step over what it does not know. That is
all the compatibility there is: it is about bytes, not about meaning. Reads the outbox of order-service, where an event stands as
it will be published: old_reader.py FILE
"""

import sqlite3
import sys

KNOWN = {1: "order_id", 2: "customer_id"}


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """Number and value of every field, in the order of the bytes."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, at = varint(data, at)
        elif wire_type == 2:
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
        else:
            raise ValueError(f"wire type {wire_type} is not used by this contract")
        yield number, value


def main():
    outbox = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
    for (payload,) in outbox.execute("SELECT payload FROM outbox ORDER BY seq"):
        known = {KNOWN[number]: value.decode() for number, value in fields(payload) if number in KNOWN}
        unknown = sorted({number for number, _ in fields(payload) if number not in KNOWN})
        print(f"read {known}, passed over fields {unknown}")


if __name__ == "__main__":
    main()
