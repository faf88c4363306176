"""Validates files with a JSON schema, as an editor does.

For each line of the input, {"schema": PATH, "text": FILE}, a line of the output: a list of the keys
that are wrong, as `vscp-link check` writes them; an empty one for a good file.
"""

import json
import sys

from jsonschema import Draft7Validator


def name(path):
    out = ""
    for step in path:
        if isinstance(step, int):
            out += f"[{step}]"
        else:
            out += f".{step}" if out else step
    return out


def keys(error):
    at = list(error.absolute_path)
    yield name(at)
    if error.validator == "additionalProperties":
        for key in set(error.instance) - set(error.schema.get("properties", {})):
            yield name([*at, key])
    for inner in error.context:
        yield from keys(inner)


def main():
    known = {}
    for line in sys.stdin:
        asked = json.loads(line)
        path = asked["schema"]
        if path not in known:
            with open(path, encoding="utf-8") as file:
                schema = json.load(file)
            Draft7Validator.check_schema(schema)
            known[path] = Draft7Validator(schema)
        value = json.loads(asked["text"])
        found = []
        if not known[path].is_valid(value):
            errors = known[path].iter_errors(value)
            found = sorted({key for error in errors for key in keys(error)})
        print(json.dumps(found))


main()
