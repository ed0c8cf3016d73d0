#!/usr/bin/env python3
"""Turns the Kubernetes reference tables (TSV) into the schema tables of Sources/Schema/Tables.

    Scripts/generate-schema-tables.py FOLDER-OF-TSVS [OUTPUT-FOLDER]

Reads kubernetes-{types,fields,kinds,operations,proto-only}.tsv and writes Swift files that hold rows of text, not Swift
literals of values: those take the compiler minutes. Only what the stable kinds reach is written. The row grammar is
documented beside its reader, Sources/Schema/Model/SchemaReader.swift.
"""
import collections
import os
import sys

LINES_PER_FILE = 330
# Discovery order: what kubectl prefers for an ambiguous short name comes first.
GROUP_ORDER = """ apiregistration.k8s.io apps events.k8s.io authentication.k8s.io authorization.k8s.io autoscaling batch
certificates.k8s.io networking.k8s.io policy rbac.authorization.k8s.io storage.k8s.io admissionregistration.k8s.io
apiextensions.k8s.io scheduling.k8s.io coordination.k8s.io node.k8s.io discovery.k8s.io resource.k8s.io
flowcontrol.apiserver.k8s.io""".split()
GROUP_ORDER.insert(0, "")
ALL_VERBS = "create,delete,deletecollection,get,list,patch,update,watch"
METHOD_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
PACKAGES = {
    "io.k8s.apimachinery.pkg.apis.meta.": "meta.",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.": "apiextensions.",
    "io.k8s.kube-aggregator.pkg.apis.apiregistration.": "apiregistration.",
    "io.k8s.apimachinery.pkg.": "machinery.",
    "io.k8s.api.": "",
}
# Types with a JSON form of their own.
SPECIAL = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "microtime",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "intorstring",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "raw",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "fields",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": "json",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "schemaorarray",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "schemaorbool",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "schemaorstrings",
}
SPECIAL_REACHES = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
# Selector and reference types are atomic for server-side apply (the field table does not say it).
ATOMIC_MAPS = set(
    """core.v1.NodeSelector core.v1.NodeSelectorTerm core.v1.ObjectReference core.v1.LocalObjectReference
    core.v1.SecretKeySelector core.v1.ConfigMapKeySelector core.v1.ObjectFieldSelector core.v1.ResourceFieldSelector
    core.v1.TopologySelectorTerm core.v1.TypedLocalObjectReference core.v1.ScopeSelector core.v1.SecretReference
    core.v1.FileKeySelector core.v1.EndpointAddress core.v1.EndpointPort meta.v1.LabelSelector rbac.v1.RoleRef
    rbac.v1.Subject discovery.v1.EndpointPort networking.v1.ServiceBackendPort autoscaling.v1.CrossVersionObjectReference
    admissionregistration.v1.MatchResources admissionregistration.v1.NamedRuleWithOperations
    admissionregistration.v1.ParamKind admissionregistration.v1.ParamRef admissionregistration.v1.Variable""".split()
)


def rows(folder, name):
    with open(os.path.join(folder, f"kubernetes-{name}.tsv"), encoding="utf-8") as file:
        header = file.readline().rstrip("\n").split("\t")
        return [dict(zip(header, line.rstrip("\n").split("\t"))) for line in file if line.strip()]


def short(name):
    for prefix, alias in PACKAGES.items():
        if name.startswith(prefix):
            return alias + name[len(prefix):]
    raise SystemExit(f"no alias for the package of {name}")


def package(name):
    return name.rsplit(".", 1)[0]


def reference(name, home):
    """A type's name as written inside the package `home`."""
    if name in SPECIAL:
        return SPECIAL[name]
    return name.rsplit(".", 1)[1] if package(name) == home else short(name)


def field_type(row, home):
    text, format_ = row["json_type"], row["format"]
    prefix = ""
    while True:
        if text.startswith("[]"):
            prefix, text = prefix + "[]", text[2:]
        elif text.startswith("map[string]"):
            prefix, text = prefix + "map:", text[len("map[string]"):]
        else:
            break
    if ":" in text:
        text, format_ = text.split(":")
    if text.startswith("io.k8s"):
        return prefix + reference(text, home)
    plain = {"string": "string", "boolean": "bool", "integer": format_ or "int64", "number": "double", "object": "any"}
    if text == "string" and format_ == "byte":
        return prefix + "bytes"
    return prefix + plain[text]


def proto_column(number, proto, written):
    """The number, with the protobuf type only where it does not follow from the JSON type."""
    if not number:
        return "-"
    plain = {"string": "string", "bool": "bool", "int32": "int32", "int64": "int64", "double": "double", "bytes": "bytes"}

    def base(text):
        return text.rsplit(".", 1)[-1].rstrip(">").lower()

    core = written.replace("[]", "").replace("map:", "")
    special = {"raw": "rawextension", "fields": "fieldsv1"}
    expected = plain.get(core) or special.get(core) or core.rsplit(".", 1)[-1].lower()
    actual = base(proto.split(",")[-1].replace("repeated ", ""))
    return number if actual == expected else f"{number}:{proto.replace(' ', '_')}"


def attributes(row):
    out = []
    if row["required"]:
        out.append("req")
    if row["list_type"]:
        keys = row["list_map_keys"]
        out.append(f"list={row['list_type']}" + (f":{keys}" if keys else ""))
    if row["map_type"]:
        out.append(f"map={row['map_type']}")
    if row["patch_strategy"]:
        key = row["patch_merge_key"]
        out.append(f"patch={row['patch_strategy']}" + (f":{key}" if key else ""))
    if row["default"]:
        out.append(f"default={row['default']}")
    return out


def main():
    source = sys.argv[1]
    here = os.path.dirname(os.path.abspath(__file__))
    target = sys.argv[2] if len(sys.argv) > 2 else os.path.join(here, "..", "Sources", "Schema", "Tables")
    types = {row["type"]: row for row in rows(source, "types")}
    fields = collections.defaultdict(list)
    for row in rows(source, "fields"):
        fields[row["type"]].append(row)
    proto_only, proto_messages = {}, collections.defaultdict(list)
    for row in rows(source, "proto-only"):
        name = row["proto_message"].replace("apiextensions_apiserver", "apiextensions-apiserver")
        name = name.replace("kube_aggregator", "kube-aggregator").replace("k8s.io.", "io.k8s.", 1)
        proto_only[(name, row["field"].lower())] = (row["proto_number"], row["proto_type"])
        proto_messages[name].append(row)
    kinds = [row for row in rows(source, "kinds") if row["stability"] == "stable"]
    for row in kinds:
        row["group"] = "" if row["group"] == "core" else row["group"]
    served = {(row["group"], row["version"]) for row in kinds}

    # What the stable kinds reach.
    def kinds_of(name):
        found = []
        for item in types[name]["group/version/kind"].replace(";", ",").split(","):
            if item.strip():
                group, version, kind = item.strip().split("/")
                found.append((group, version, kind))
        return found

    reached, queue = set(), []
    for name in types:
        in_meta = name.startswith("io.k8s.apimachinery.pkg.apis.meta.v1.")
        if in_meta or any((group, version) in served for group, version, _ in kinds_of(name)):
            queue.append(name)
    while queue:
        name = queue.pop()
        if name in reached:
            continue
        reached.add(name)
        if name in SPECIAL and "schemaor" in SPECIAL[name]:
            queue.append(SPECIAL_REACHES)
        for row in fields[name]:
            text = row["json_type"].replace("[]", "").replace("map[string]", "")
            if text.startswith("io.k8s"):
                if text not in types:
                    raise SystemExit(f"{name}.{row['field']} refers to the unknown type {text}")
                queue.append(text)

    by_package, nested = collections.defaultdict(list), set()
    for name in sorted(reached):
        if name in SPECIAL or name.endswith("pkg.version.Info") or types[name]["json_type"] != "object":
            continue
        home = package(name)
        gvks = [f"{g}/{v}/{k}" for g, v, k in kinds_of(name)]
        if len(gvks) > 1:  # DeleteOptions and WatchEvent belong to every group version.
            gvks = ["*" + gvks[0].rsplit("/", 1)[1]]
        flags = gvks + (["atomic"] if short(name) in ATOMIC_MAPS else [])
        lines = [" ".join([name.rsplit(".", 1)[1]] + flags)]
        inline = [row for row in fields[name] if row["json_type"].startswith("(")]
        plain = [row for row in fields[name] if not row["json_type"].startswith("(")]
        unnumbered = {row["field"].lower(): row for row in plain if not row["proto_number"]}
        for row in list(inline):
            twin = unnumbered.get(row["field"].lower())
            if twin:  # The same member, spelled differently in the protobuf definition.
                twin["proto_number"], twin["proto_type"] = row["proto_number"], row["proto_type"]
                inline.remove(row)
        for row in plain:
            number, proto = row["proto_number"], row["proto_type"]
            if not number:
                # `$ref` and `x-kubernetes-list-type` are `ref` and `xKubernetesListType` in protobuf.
                spelled = row["field"].lower().replace("-", "").lstrip("$")
                number, proto = proto_only.get((name, spelled), ("", ""))
            written = field_type(row, home)
            columns = [row["field"], written, proto_column(number, proto, written)] + attributes(row)
            lines.append(" " + " ".join(columns))
        for row in inline:  # A nested protobuf message whose members JSON has in line.
            lines.append(f" {row['field']} inline {row['proto_number']}:{row['proto_type']}")
            nested.add(f"{home}.{row['proto_type']}")
        by_package[home].append(lines)
    for name in sorted(nested - reached):  # Messages that exist in protobuf only.
        if name not in proto_messages:
            raise SystemExit(f"no protobuf fields of {name}")
        lines = [name.rsplit(".", 1)[1] + " protobuf"]
        for row in proto_messages[name]:
            lines.append(f" {row['field']} inline {row['proto_number']}:{row['proto_type'].replace(' ', '_')}")
        by_package[package(name)].append(lines)

    for old in os.listdir(target):
        if old.startswith("Generated"):
            os.remove(os.path.join(target, old))
    constants = []
    for home in sorted(by_package):
        alias = short(home + ".x")[:-2]
        group = alias.split(".")[0]
        version = alias.split(".")[-1]
        parts, current = [], []
        for lines in by_package[home]:
            if current and len(current) + len(lines) > LINES_PER_FILE:
                parts.append(current)
                current = []
            current += lines
        parts.append(current)
        for number, lines in enumerate(parts, 1):
            suffix = str(number) if len(parts) > 1 else ""
            constant = group + (version.upper() if version != "v1" else "") + suffix
            constants.append(constant)
            write(target, f"Generated+{constant}.swift", constant, f"@{home} {alias}", lines)

    write_resources(target, source, kinds)
    all_constants = "".join(f"        {name},\n" for name in constants)
    with open(os.path.join(target, "Generated.swift"), "w", encoding="utf-8") as file:
        file.write(
            "// Generated by Scripts/generate-schema-tables.py; do not edit.\n\n"
            "/// The generated rows: types and resources of the stable Kubernetes kinds.\n"
            "enum GeneratedTables {\n"
            "    /// Every table of types.\n"
            "    static let types: [StaticString] = [\n" + all_constants + "    ]\n}\n"
        )


def write(target, file_name, constant, heading, lines):
    with open(os.path.join(target, file_name), "w", encoding="utf-8") as file:
        file.write("// Generated by Scripts/generate-schema-tables.py; do not edit.\n\nextension GeneratedTables {\n")
        file.write(f'    static let {constant}: StaticString = #"""\n')
        for line in ([heading] if heading else []) + lines:
            file.write("        " + line + "\n")
        file.write('        """#\n}\n')


def write_resources(target, source, kinds):
    subresources = collections.defaultdict(lambda: collections.defaultdict(lambda: [set(), ""]))
    for row in rows(source, "operations"):
        parts = row["path"].split("/")
        if "watch" in parts or "{name}" not in parts or not row["action"] or "{path}" in parts:
            continue
        at = parts.index("{name}")
        if len(parts) != at + 2 or row["method"] not in METHOD_VERBS:
            continue
        group, version = ("", parts[2]) if parts[1] == "api" else (parts[2], parts[3])
        entry = subresources[(group, version, parts[at - 1])][parts[at + 1]]
        entry[0].add(METHOD_VERBS[row["method"]])
        entry[1] = row["group/version/kind"]
    lines = []
    for group in GROUP_ORDER:
        versions = sorted({row["version"] for row in kinds if row["group"] == group}, reverse=True)
        for version in versions:
            for row in kinds:
                if (row["group"], row["version"]) != (group, version):
                    continue
                verbs = ALL_VERBS if row["verbs"] == "all8" else row["verbs"]
                own = f"{group}/{version}/{row['kind']}"
                lines.append(
                    " ".join(
                        [row["resource"], row["kind"], group or "-", version]
                        + ["namespaced" if row["namespaced"] == "true" else "cluster", row["singular"]]
                        + [row["shortnames"] or "-", row["categories"] or "-"]
                        + ["all" if verbs == ALL_VERBS else verbs]
                    )
                )
                listed = [name for name in row["subresources"].split(",") if name]
                for name in listed:
                    found, kind = subresources[(group, version, row["resource"])][name]
                    if not found:
                        raise SystemExit(f"no operation for {row['resource']}/{name}")
                    suffix = "" if kind == own else " " + kind
                    lines.append(f" {name} {','.join(sorted(found))}{suffix}")
    write(target, "Generated+Resources.swift", "resources", "", lines)


main()
