"""A LinkML schema of what a JSON Schema says: classes, attributes, patterns, vocabularies.

usage: linkml_schema.py FILE.schema.json OUT.yaml

What LinkML has no words for (maps of objects, alternatives) becomes Any, so that linkml-validate has less to check than
the JSON Schema asks for, never more.
"""

import json
import sys

source, out = sys.argv[1:]
schema = json.load(open(source))
definitions = schema.get("$defs", {})
classes = {"Any": {"class_uri": "linkml:Any"}}
enums = {}


def named(text):
    return text[:1].upper() + text[1:]


def range_of(name, node, owner):
    """The slot that says what `node` says."""
    if not isinstance(node, dict):
        return {"range": "Any"}
    if "$ref" in node:
        target = node["$ref"].rsplit("/", 1)[-1]
        return range_of(target, definitions[target], target)
    if "enum" in node and all(isinstance(value, str) for value in node["enum"]):
        enums.setdefault(named(name) + "Enum", {"permissible_values": {value: {} for value in node["enum"]}})
        return {"range": named(name) + "Enum"}
    kind = node.get("type")
    if kind == "string":
        slot = {"range": "string"}
        if "pattern" in node:
            slot["pattern"] = node["pattern"]
        return slot
    if kind in ("integer", "boolean"):
        return {"range": kind}
    if kind == "number":
        return {"range": "float"}
    if kind == "array":
        slot = range_of(name, node.get("items", {}), owner)
        return {"range": "Any"} if slot.get("multivalued") else {**slot, "multivalued": True, "inlined_as_list": True}
    if kind == "object" and node.get("properties"):
        add(named(name), node)
        return {"range": named(name), "inlined": True}
    return {"range": "Any"}


def add(name, node):
    """The class that says what the object `node` says."""
    if name in classes:
        return
    classes[name] = {}
    required = node.get("required", [])
    slots = {}
    for key, value in node.get("properties", {}).items():
        slots[key] = {**range_of(key, value, name), **({"required": True} if key in required else {})}
    classes[name] = {"attributes": slots}


add("ApplicationDescription", schema)
classes["ApplicationDescription"]["tree_root"] = True
json.dump(
    {
        "id": "https://example.org/margo",
        "name": "margo",
        "prefixes": {"linkml": "https://w3id.org/linkml/"},
        "imports": ["linkml:types"],
        "default_range": "string",
        "classes": classes,
        "enums": enums,
    },
    open(out, "w"),
    indent=1,
)
