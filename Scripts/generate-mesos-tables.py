#!/usr/bin/env python3
"""Turns the Mesos reference (facts about messages) into the tables of Sources/MesosModel/Schema/Tables.

    Scripts/generate-mesos-tables.py FOLDER-OF-REFERENCE [OUTPUT-FOLDER]

Reads mesos-v1.tsv (messages, fields, numbers, enum values) and appendix A of mesos.md (defaults, what is deprecated, and
the resource provider messages), and complains where the two disagree. The grammar of a row is documented beside its
reader, Sources/MesosModel/Schema/MesosSchemaReader.swift.
"""
import collections
import os
import re
import sys

WIDTH = 112
ROOT = "mesos.v1"
SCALARS = "string bytes bool double float int32 int64 uint32 uint64 sint32 sint64 fixed32 fixed64".split()
APPENDIX_PACKAGES = {
    "A.1": "", "A.2": "scheduler.", "A.3": "executor.", "A.4": "master.", "A.5": "agent.", "A.6": "maintenance.",
    "A.7": "quota.", "A.8": "allocator.", "A.9": "resource_provider.",
}


class Field:
    def __init__(self, name, number, type, label):
        self.name, self.number, self.type, self.label = name, number, type, label
        self.default, self.deprecated = None, False


def read_tsv(path):
    """Messages by their name without `mesos.v1.`, each with its package prefix, and enums."""
    messages, enums = collections.OrderedDict(), collections.OrderedDict()
    with open(path, encoding="utf-8") as file:
        next(file)
        for line in file:
            kind, package, owner, name, number, label, type, _ = (line.rstrip("\n").split("\t") + [""] * 8)[:8]
            prefix = package[len(ROOT) + 1 :] + "." if package != ROOT else ""
            key = prefix + owner
            if kind == "enum":
                enums.setdefault(key, (prefix, []))[1].append((name, int(number)))
            else:
                fields = messages.setdefault(key, (prefix, []))[1]
                if kind == "field":
                    fields.append(Field(name, int(number), type, label or "optional"))
    return messages, enums


def read_appendix(path):
    """The same from the appendix of mesos.md."""
    messages, enums = collections.OrderedDict(), collections.OrderedDict()
    prefix, inside = None, False
    with open(path, encoding="utf-8") as file:
        for line in file:
            heading = re.match(r"### (A\.\d)", line)
            if heading:
                prefix, inside = APPENDIX_PACKAGES[heading.group(1)], True
                continue
            if not inside or not line.startswith("- "):
                continue
            for statement in line[2:].strip().split(" · "):
                owner = None
                continued = re.match(r"(\w+) cont\. ", statement)
                if continued:
                    owner = continued.group(1)
                    statement = statement[continued.end() :]
                for part in statement.split(" ; "):
                    owner = read_part(part.strip(), owner, prefix, messages, enums)
    return messages, enums


def read_part(part, owner, prefix, messages, enums):
    enum = re.match(r"enum (\.?[\w.]+) \{(.*)\}$", part)
    if enum:
        name = enum.group(1)
        full = prefix + (owner + name if name.startswith(".") else name)
        enums[full] = (prefix, [(n, int(v)) for n, v in (x.split("=") for x in enum.group(2).split())])
        return owner
    name, _, rest = part.partition(":")
    if name.startswith("."):
        name = owner + name
    else:
        owner = name
    fields = messages.setdefault(prefix + name, (prefix, []))[1]
    if "(empty)" in rest:
        return owner
    for item in rest.strip().split(", "):
        match = re.match(r"(\d+) (\w+) (map<[^>]*>|[\w.]+)(.*)$", item.strip())
        if not match:
            sys.exit(f"cannot read {item!r} of {name}")
        flags = match.group(4)
        label = "required" if "!" in flags else "repeated" if flags[:1] == "*" else "optional"
        field = Field(match.group(2), int(match.group(1)), match.group(3), label)
        default = re.search(r'=("[^"]*"|[^~!*?]+)', flags)
        if default:
            field.default = default.group(1).strip('"')
        field.deprecated = "~" in flags
        fields.append(field)
    return owner


def resolve(type, scope, prefix, known):
    """A type as protobuf finds it: innermost scope first, then the package, then mesos.v1."""
    if type in SCALARS or type == "google.protobuf.Duration":
        return type
    if type.startswith("map<"):
        key, value = type[4:-1].split(",")
        return "{" + key + "," + resolve(value.strip(), scope, prefix, known) + "}"
    if type.startswith(ROOT + "."):
        return type[len(ROOT) + 1 :]
    parts = scope.split(".")
    for length in range(len(parts), -1, -1):
        candidate = ".".join(parts[:length] + [type])
        if candidate in known:
            return candidate
    sys.exit(f"type {type} of {scope} is not known")


def text(message, fields, prefix, known):
    words = [message]
    for field in fields:
        word = f"{field.name}:{field.number}:{resolve(field.type, message, prefix, known)}"
        word += {"required": "!", "repeated": "*"}.get(field.label, "")
        word += "~" if field.deprecated else ""
        word += f"={field.default}" if field.default is not None else ""
        words.append(word)
    return words


def wrapped(words):
    lines, line = [], words[0]
    for word in words[1:]:
        if len(line) + 1 + len(word) > WIDTH:
            lines.append(line)
            line = " " + word
        else:
            line += " " + word
    return lines + [line]


def main():
    folder = sys.argv[1]
    output = sys.argv[2] if len(sys.argv) > 2 else os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "../Sources/MesosModel/Schema/Tables")
    messages, enums = read_tsv(os.path.join(folder, "mesos-v1.tsv"))
    extra_messages, extra_enums = read_appendix(os.path.join(folder, "mesos.md"))
    for name, (prefix, fields) in extra_messages.items():
        if name not in messages:
            messages[name] = (prefix, fields)
            continue
        known = {field.name: field for field in messages[name][1]}
        for field in fields:
            same = known.get(field.name)
            if same is None or same.number != field.number:
                print(f"disagreement: {name}.{field.name} = {field.number}", file=sys.stderr)
                continue
            same.default, same.deprecated = field.default, field.deprecated
    for name, value in extra_enums.items():
        if name not in enums:
            enums[name] = value
        elif dict(enums[name][1]) != dict(value[1]):
            print(f"disagreement: enum {name}", file=sys.stderr)
    known = set(messages) | set(enums)
    files = collections.OrderedDict()
    for name, (prefix, values) in enums.items():
        words = ["enum", name] + [f"{value}={number}" for value, number in values]
        files.setdefault(prefix, []).extend(wrapped([" ".join(words[:2])] + words[2:]))
    for name, (prefix, fields) in messages.items():
        files.setdefault(prefix, []).extend(wrapped(text(name, fields, prefix, known)))
    os.makedirs(output, exist_ok=True)
    names = []
    for prefix, lines in sorted(files.items()):
        title = "".join(part.capitalize() for part in prefix.rstrip(".").split("_")) or "Common"
        name = title[0].lower() + title[1:]
        names.append(name)
        with open(os.path.join(output, f"MesosTables+{title}.swift"), "w", encoding="utf-8") as file:
            file.write("// Generated by Scripts/generate-mesos-tables.py; do not edit.\n\n")
            file.write(f'extension MesosTables {{\n    static let {name}: StaticString = #"""\n')
            for line in lines:
                file.write("        " + line + "\n")
            file.write('        """#\n}\n')
    with open(os.path.join(output, "MesosTables.swift"), "w", encoding="utf-8") as file:
        file.write("// Generated by Scripts/generate-mesos-tables.py; do not edit.\n\n")
        file.write("/// The rows of all messages and enums, one text per package.\nenum MesosTables {\n")
        file.write("    static let all: [StaticString] = [\n        " + ", ".join(names) + ",\n    ]\n}\n")


main()
