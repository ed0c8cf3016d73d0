import JSON
import ObjectModel
import RegularExpression

/// Whether a schema is structural, and says nothing that custom resources cannot keep.
struct SchemaCheck {
    private enum Level { case root, field, item }
    private(set) var problems: [FieldError] = []

    private mutating func add(_ problem: FieldError) {
        if problems.count < 100 { problems.append(problem) }
    }

    mutating func root(_ schema: JSON, _ path: String) {
        if schema["nullable"].bool == true {
            add(.forbidden("\(path).nullable", "nullable cannot be true at the root"))
        }
        check(schema, path, .root)
        if problems.isEmpty { defaults(schema, StructuralSchema(schema), 0, path) }
    }

    // MARK: Structure

    private mutating func check(_ schema: JSON, _ path: String, _ level: Level) {
        words(schema, path)
        let type = schema["type"].string ?? ""
        let isOpen = schema["x-kubernetes-preserve-unknown-fields"].bool == true
        let isMixed = schema["x-kubernetes-int-or-string"].bool == true
        let isEmbedded = schema["x-kubernetes-embedded-resource"].bool == true
        if type == "array", schema["items"].isNull { add(.required("\(path).items", "must be specified")) }
        if isEmbedded, type != "object" {
            let why = "must be object if x-kubernetes-embedded-resource is true"
            add(type.isEmpty ? .required("\(path).type", why) : .invalid("\(path).type", .string(type), why))
        } else if type.isEmpty, !isMixed, !isOpen {
            switch level {
            case .root: add(.required("\(path).type", "must not be empty at the root"))
            case .field: add(.required("\(path).type", "must not be empty for specified object fields"))
            case .item: add(.required("\(path).type", "must not be empty for specified array items"))
            }
        }
        if isMixed, !type.isEmpty {
            add(
                .invalid("\(path).type", .string(type), "must be empty if x-kubernetes-int-or-string is true"))
        }
        if isMixed, isOpen {
            add(
                .invalid(
                    "\(path).x-kubernetes-preserve-unknown-fields", true,
                    "must be false if x-kubernetes-int-or-string is true"))
        }
        if level == .root, !type.isEmpty, type != "object" {
            add(.invalid("\(path).type", .string(type), "must be object at the root"))
        }
        if level == .root, schema["additionalProperties"].object != nil {
            add(.forbidden("\(path).additionalProperties", "must not be used at the root"))
        }
        if isEmbedded, !isOpen, schema["properties"].members.isEmpty {
            add(
                .required(
                    "\(path).properties",
                    "must not be empty if x-kubernetes-embedded-resource is true without "
                        + "x-kubernetes-preserve-unknown-fields"))
        }
        if level == .root || isEmbedded { resource(schema, path) }
        lists(schema, path)
        for name in schema["properties"].members.keys.sorted() {
            check(schema["properties"][name], "\(path).properties[\(name)]", .field)
        }
        if schema["additionalProperties"].object != nil {
            check(schema["additionalProperties"], "\(path).additionalProperties", .field)
        }
        if schema["items"].object != nil { check(schema["items"], "\(path).items", .item) }
        for word in ["allOf", "anyOf", "oneOf"] {
            for (index, part) in schema[word].elements.enumerated() {
                nested(part, in: schema, "\(path).\(word)[\(index)]", outer: path, allowsType: isMixed)
            }
        }
        if schema["not"].object != nil {
            nested(schema["not"], in: schema, "\(path).not", outer: path, allowsType: isMixed)
        }
    }

    /// Words that no schema of a custom resource may have.
    private mutating func words(_ schema: JSON, _ path: String) {
        let type = schema["type"]
        let types = ["array", "boolean", "integer", "number", "object", "string"]
        if type.string == "null" {
            add(.forbidden("\(path).type", "type cannot be set to null, use nullable as an alternative"))
        } else if let text = type.string, !text.isEmpty, !types.contains(text) {
            add(.notSupported("\(path).type", type, types))
        }
        for word in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"]
        where !schema[word].isNull {
            add(.forbidden("\(path).\(word)", "\(word) is not supported"))
        }
        if schema["items"].array != nil {
            add(.forbidden("\(path).items", "items must be a schema object and not an array"))
        }
        if schema["uniqueItems"].bool == true {
            add(
                .forbidden(
                    "\(path).uniqueItems",
                    "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"))
        }
        if !schema["additionalProperties"].isNull, schema["additionalProperties"].bool != true,
            !schema["properties"].members.isEmpty
        {
            add(.forbidden("\(path).additionalProperties", "additionalProperties and properties are mutual exclusive"))
        }
        if schema["x-kubernetes-preserve-unknown-fields"].bool == false {
            add(.invalid("\(path).x-kubernetes-preserve-unknown-fields", false, "must be true or undefined"))
        }
        if let source = schema["pattern"].string, !source.isEmpty {
            do {
                _ = try Pattern(source)
            } catch {
                add(
                    .invalid(
                        "\(path).pattern", schema["pattern"],
                        "must be a valid regular expression, but isn't: \(error.description)"))
            }
        }
    }

    /// What every resource has anyway can hardly be restricted.
    private mutating func resource(_ schema: JSON, _ path: String) {
        for name in ["apiVersion", "kind"] {
            let part = schema["properties"][name]
            if !part.isNull, part["type"].string != "string" {
                add(
                    .invalid(
                        "\(path).properties[\(name)].type", part["type"].isNull ? "" : part["type"], "must be string"))
            }
        }
        let metadata = schema["properties"]["metadata"]
        if metadata.isNull { return }
        let place = "\(path).properties[metadata]"
        if metadata["type"].string != "object" {
            add(.invalid("\(place).type", metadata["type"].isNull ? "" : metadata["type"], "must be object"))
        }
        let others = metadata.members.keys.filter { !["type", "properties", "description"].contains($0) }
        let fields = metadata["properties"].members.keys.filter { !["name", "generateName"].contains($0) }
        if !others.isEmpty || !fields.isEmpty {
            add(
                .forbidden(
                    place,
                    "must not specify anything other than name and generateName, but metadata is implicitly specified"))
        }
    }

    private mutating func lists(_ schema: JSON, _ path: String) {
        let type = schema["type"].string ?? ""
        if let map = schema["x-kubernetes-map-type"].string {
            let why = "must be object if x-kubernetes-map-type is specified"
            if type != "object" {
                add(type.isEmpty ? .required("\(path).type", why) : .invalid("\(path).type", .string(type), why))
            }
            if !["atomic", "granular"].contains(map) {
                add(.notSupported("\(path).x-kubernetes-map-type", .string(map), ["atomic", "granular"]))
            }
        }
        let keys = schema["x-kubernetes-list-map-keys"].elements.compactMap(\.string)
        guard let list = schema["x-kubernetes-list-type"].string else {
            if !keys.isEmpty {
                add(
                    .required(
                        "\(path).x-kubernetes-list-type", "must be map if x-kubernetes-list-map-keys is non-empty"))
            }
            return
        }
        if type != "array" {
            let why = "must be array if x-kubernetes-list-type is specified"
            add(type.isEmpty ? .required("\(path).type", why) : .invalid("\(path).type", .string(type), why))
        }
        let items = schema["items"]
        if list != "atomic", items["nullable"].bool == true {
            add(.forbidden("\(path).items.nullable", "cannot be nullable when x-kubernetes-list-type is \(list)"))
        }
        switch list {
        case "atomic": break
        case "set":
            if items["type"].string == "array", items["x-kubernetes-list-type"].string ?? "atomic" != "atomic" {
                add(
                    .invalid(
                        "\(path).items.x-kubernetes-list-type", items["x-kubernetes-list-type"],
                        "must be atomic as item of a list with x-kubernetes-list-type=set"))
            }
            if items["type"].string == "object", items["x-kubernetes-map-type"].string != "atomic" {
                add(
                    .invalid(
                        "\(path).items.x-kubernetes-map-type", items["x-kubernetes-map-type"],
                        "must be atomic as item of a list with x-kubernetes-list-type=set"))
            }
        case "map": keyedList(schema, keys, path)
        default: add(.notSupported("\(path).x-kubernetes-list-type", .string(list), ["atomic", "set", "map"]))
        }
        if list != "map", !keys.isEmpty {
            add(
                .invalid(
                    "\(path).x-kubernetes-list-type", .string(list),
                    "must be map if x-kubernetes-list-map-keys is non-empty"))
        }
    }

    private mutating func keyedList(_ schema: JSON, _ keys: [String], _ path: String) {
        let items = schema["items"]
        let field = "\(path).x-kubernetes-list-map-keys"
        if keys.isEmpty { add(.required(field, "must not be empty if x-kubernetes-list-type is map")) }
        guard !items.isNull else {
            add(.required("\(path).items", "must have a schema if x-kubernetes-list-type is map"))
            return
        }
        if items["type"].string != "object" {
            add(
                .invalid(
                    "\(path).items.type", items["type"].isNull ? "" : items["type"],
                    "must be object if parent array's x-kubernetes-list-type is map"))
        }
        if Set(keys).count != keys.count {
            add(.invalid(field, JSON(keys), "must not contain duplicate entries"))
        }
        let required = items["required"].elements.compactMap(\.string)
        for key in keys {
            let part = items["properties"][key]
            guard !part.isNull else {
                add(.invalid(field, JSON(keys), "entries must all be names of item properties"))
                continue
            }
            if ["array", "object"].contains(part["type"].string ?? "") {
                add(
                    .invalid(
                        "\(path).items.properties[\(key)].type", part["type"],
                        "must be a scalar type if parent array's x-kubernetes-list-type is map"))
            }
            if part["default"].isNull, !required.contains(key) {
                add(
                    .required(
                        "\(path).items.properties[\(key)].default",
                        "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required "
                            + "property"))
            }
            if part["nullable"].bool == true {
                add(
                    .forbidden(
                        "\(path).items.properties[\(key)].nullable",
                        "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"))
            }
        }
    }

    // MARK: Alternatives

    /// Parts of alternatives only restrict values; their members stand in the schema outside too.
    private mutating func nested(
        _ part: JSON, in outerSchema: JSON, _ path: String, outer: String, allowsType: Bool
    ) {
        if !allowsType, !(part["type"].string ?? "").isEmpty {
            add(.forbidden("\(path).type", "must be empty to be structural"))
        }
        for word in ["additionalProperties", "default", "x-kubernetes-list-type", "x-kubernetes-map-type"]
        where !part[word].isNull {
            add(.forbidden("\(path).\(word)", "must be undefined to be structural"))
        }
        for word in ["title", "description", "x-kubernetes-list-map-keys", "x-kubernetes-validations"] {
            switch part[word] {
            case .null: continue
            case .string(let text) where text.isEmpty: continue
            case .array(let elements) where elements.isEmpty: continue
            default: add(.forbidden("\(path).\(word)", "must be empty to be structural"))
            }
        }
        let flags = [
            "nullable", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource",
            "x-kubernetes-int-or-string",
        ]
        for word in flags where part[word].bool == true {
            add(.forbidden("\(path).\(word)", "must be false to be structural"))
        }
        words(part.without("type"), path)
        for name in part["properties"].members.keys.sorted() {
            let place = "\(path).properties[\(name)]"
            if name == "metadata" { add(.forbidden(place, "must not be specified in a nested context")) }
            let known = outerSchema["properties"][name]
            if known.isNull, outerSchema["additionalProperties"].object == nil,
                outerSchema["x-kubernetes-preserve-unknown-fields"].bool != true
            {
                add(.required("\(outer).properties[\(name)]", "because it is defined in \(place)"))
            }
            nested(
                part["properties"][name], in: known, place, outer: "\(outer).properties[\(name)]", allowsType: false)
        }
        if part["items"].object != nil {
            if outerSchema["items"].isNull {
                add(.required("\(outer).items", "because it is defined in \(path).items"))
            }
            nested(part["items"], in: outerSchema["items"], "\(path).items", outer: "\(outer).items", allowsType: false)
        }
        for word in ["allOf", "anyOf", "oneOf"] {
            for (index, inner) in part[word].elements.enumerated() {
                nested(inner, in: outerSchema, "\(path).\(word)[\(index)]", outer: outer, allowsType: allowsType)
            }
        }
        if part["not"].object != nil {
            nested(part["not"], in: outerSchema, "\(path).not", outer: outer, allowsType: allowsType)
        }
    }

    // MARK: Defaults

    /// Defaults are complete and valid by themselves.
    private mutating func defaults(_ schema: JSON, _ compiled: StructuralSchema, _ place: Int, _ path: String) {
        let node = compiled.nodes[place]
        if let value = node.defaultValue {
            let field = "\(path).default"
            var pruned = value
            let part = StructuralSchema(schema)
            if !part.prune(&pruned, isResource: false).isEmpty {
                add(.invalid(field, value, "must not have unknown fields"))
            }
            part.applyDefaults(to: &pruned)
            var check = Validation(schema: part)
            check.check(pruned, old: nil)
            for problem in check.problems {
                let inner = problem.field == "<nil>" ? field : "\(field).\(problem.field)"
                add(FieldError(field: inner, reason: problem.reason, message: problem.message))
            }
        }
        for name in node.names {
            guard let part = node.properties[name] else { continue }
            defaults(schema["properties"][name], compiled, part, "\(path).properties[\(name)]")
        }
        if let part = node.additionalPlace {
            defaults(schema["additionalProperties"], compiled, part, "\(path).additionalProperties")
        }
        if node.items >= 0 { defaults(schema["items"], compiled, node.items, "\(path).items") }
    }
}

extension JSON {
    /// The same object without a member.
    fileprivate func without(_ name: String) -> JSON {
        var copy = self
        copy.removeMember(name)
        return copy
    }
}
