"""JSON syntax errors in the words of Go's decoder, which clients show to their users."""

from __future__ import annotations

import json

_PLACES = {
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Expecting value": "looking for beginning of value",
    "Expecting ',' delimiter": "after object key:value pair",
    "Expecting ':' delimiter": "after object key",
    "Extra data": "after top-level value",
    "Invalid control character at": "in string literal",
}


def describe(error: json.JSONDecodeError) -> str:
    """What Go's `encoding/json` says about the same text."""
    place = _PLACES.get(error.msg)
    if error.pos >= len(error.doc) or place is None:
        return "unexpected end of JSON input"
    character = error.doc[error.pos]
    shown = character if character.isprintable() else f"\\u{ord(character):04x}"
    return f"invalid character '{shown}' {place}"
