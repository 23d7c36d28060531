"""Java properties files, as Spark reads them."""

from __future__ import annotations

from collections.abc import Mapping

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}
_KEY_ESCAPES = {**_ESCAPES, " ": "\\ ", "=": "\\=", ":": "\\:", "#": "\\#", "!": "\\!"}


def properties_file(properties: Mapping[str, str]) -> str:
    """
    Text of a properties file, one line for each property, sorted; pure ASCII, so right in any encoding.

    Java gives back exactly these keys and values. Spark then trims blanks around a value.

    Source: java.util.Properties.load
    """
    return "".join(f"{_key(key)}={_value(properties[key])}\n" for key in sorted(properties))


def _key(key: str) -> str:
    return "".join(_escaped(character, _KEY_ESCAPES) for character in key)


def _value(value: str) -> str:
    kept = value.lstrip(" ")
    # blanks after the "=" belong to the separator unless they are escaped
    return "\\ " * (len(value) - len(kept)) + "".join(_escaped(character, _ESCAPES) for character in kept)


def _escaped(character: str, escapes: Mapping[str, str]) -> str:
    if character in escapes:
        return escapes[character]
    if " " <= character <= "~":
        return character
    # Java's characters are UTF-16 units: two escapes for what is beyond the first 65,536
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
