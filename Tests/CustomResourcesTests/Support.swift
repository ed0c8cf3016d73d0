import JSON
import ObjectModel
import Schema
import Testing

@testable import CustomResources

/// A version of a kind `Thing` with a schema below `spec`.
func thing(spec: JSON, extra: JSON = [:]) throws -> CustomVersion {
    try thing(schema: ["type": "object", "properties": ["spec": spec]], extra: extra)
}

/// A version of a kind `Thing` with a whole schema.
func thing(schema: JSON, extra: JSON = [:]) throws -> CustomVersion {
    var version: JSON = ["name": "v1", "served": true, "storage": true, "schema": ["openAPIV3Schema": schema]]
    for (name, value) in extra.members { version[name] = value }
    return try #require(CustomDefinition(Object(definition(versions: [version]))).versions.first)
}

/// A definition of `things.example.com`.
func definition(versions: [JSON]) -> JSON {
    [
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": ["name": "things.example.com"],
        "spec": [
            "group": "example.com", "scope": "Namespaced",
            "names": ["plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"],
            "versions": .array(versions), "conversion": ["strategy": "None"],
        ],
    ]
}

/// An object of the kind.
func object(_ spec: JSON) -> JSON {
    ["apiVersion": "example.com/v1", "kind": "Thing", "metadata": ["name": "a"], "spec": spec]
}

func json(_ text: String) throws -> JSON { try JSON.parse(text) }
