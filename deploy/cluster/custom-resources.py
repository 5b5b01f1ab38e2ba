"""Validates custom resources against the definitions of their operators, as an API server does with --validate=strict.

    custom-resources.py DEFINITIONS… -- MANIFESTS…

Every file is YAML with any number of documents. Ends with 1 on any finding, and for a custom resource without a definition. Needs
jsonschema and ruamel.yaml. Rules in CEL (`x-kubernetes-validations`) are left to the API server.
"""

import sys

from jsonschema import Draft7Validator
from ruamel.yaml import YAML

COMMON = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}


def documents(files):
    yaml = YAML(typ="safe", pure=True)
    for file in files:
        with open(file, encoding="utf-8") as stream:
            yield from ((file, document) for document in yaml.load_all(stream) if document)


def strict(schema):
    """A field that the schema does not have is an error."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    result = {name: strict(value) for name, value in schema.items() if name != "properties"}
    if "properties" in schema:
        result["properties"] = {name: strict(value) for name, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            result.setdefault("additionalProperties", False)
    return result


def validators(files):
    found = {}
    for _, definition in documents(files):
        spec = definition["spec"]
        for version in spec["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"] = {**schema.get("properties", {}), **COMMON}
            found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = Draft7Validator(schema)
    return found


def main(arguments):
    split = arguments.index("--")
    known = validators(arguments[:split])
    groups = {version.split("/")[0] for version, _ in known}
    checked = findings = 0
    for file, manifest in documents(arguments[split + 1 :]):
        kind = manifest["apiVersion"], manifest["kind"]
        if kind[0].split("/")[0] not in groups:
            continue
        checked += 1
        if kind not in known:
            findings += 1
            print(f"{file}: no definition of {kind[1]} in {kind[0]}")
            continue
        for error in known[kind].iter_errors(manifest):
            findings += 1
            place = ".".join(map(str, error.path))
            print(f"{file}: {kind[1]} {manifest['metadata']['name']}: {place}: {error.message[:200]}")
    print(f"{checked} custom resources, {len(known)} definitions, {findings} findings")
    return checked == 0 or findings > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
