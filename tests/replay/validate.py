#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Validates JSON lines against a schema, with Debian's python3-jsonschema.

Usage: validate.py SCHEMA < lines

SCHEMA is a file: tcpsaga schema > SCHEMA. Silent and 0 when every line is an
object that the schema accepts; else the first problems and 1; 2 when there is
nothing to do it with or nothing to do.
"""
import json
import sys

try:
    from jsonschema import Draft202012Validator, FormatChecker
except ImportError as missing:
    print(f"validate.py: {missing}: install python3-jsonschema, run by /usr/bin/python3")
    sys.exit(2)

PROBLEMS_SHOWN = 10


def refuse_constant(name):
    """Python reads NaN and Infinity; JSON has no such thing (RFC 8259)."""
    raise ValueError(f"{name} is not JSON")


def refuse_twins(pairs):
    """Readers differ in which of two equal keys they take."""
    keys = [key for key, _ in pairs]
    twins = sorted({key for key in keys if keys.count(key) > 1})
    if twins:
        raise ValueError(f"twice in one object: {', '.join(twins)}")
    return dict(pairs)


def problems_of(line, validator):
    try:
        text = line.decode("utf-8", "strict")
        value = json.loads(text, parse_constant=refuse_constant, object_pairs_hook=refuse_twins)
    except ValueError as error:
        return [f"no JSON: {error}"]
    if not line.endswith(b"\n"):
        return ["the line does not end"]
    return [
        f"{'/'.join(str(step) for step in error.absolute_path) or 'line'}: {error.message}"
        for error in validator.iter_errors(value)
    ]


def main():
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    shown = number = 0
    # Bytes, split at line feeds only: other line ends belong to strings.
    for number, line in enumerate(sys.stdin.buffer, 1):
        for problem in problems_of(line, validator):
            print(f"line {number}: {problem}\n  {line[:300]!r}")
            shown += 1
            if shown == PROBLEMS_SHOWN:
                return 1
    if number == 0:
        print("validate.py: not one line")
        return 2
    return 1 if shown else 0


sys.exit(main())
