public import JSON
public import ObjectModel

extension Catalog {
    /// What `conform` found besides the object.
    public struct Findings: Sendable {
        /// Paths such as `spec.template.spec.containers[0].foo` of members the type does not have; they were dropped.
        public var unknownFields: [String] = []
        public init() {}
    }

    /// Checks the JSON types of every field against the kind's type, drops unknown members (reported), nulls and empty
    /// members that mean nothing (see `Presence`), normalises quantities and times.
    ///
    /// What one client spells out and another leaves out is the same object this way: no new generation, no rollout.
    /// A document that is in order is only read: nothing is copied for it.
    /// - Parameter isPartial: a configuration to apply, in which an empty member is a wish: it is kept.
    /// - Throws: `StatusError` 400 in the API server's wording for a wrong type.
    public func conform(
        _ object: inout JSON, to kind: GroupVersionKind, isPartial: Bool = false
    ) throws -> Findings {
        if let custom = custom(kind) { return try conform(&object, to: custom, isPartial: isPartial) }
        guard let place = schema.place(of: kind) else {
            throw StatusError.badRequest(
                "no kind \"\(kind.kind)\" is registered for version \"\(kind.apiVersion)\" in the scheme of this server"
            )
        }
        if schema.isInOrder(object, .object(place), isPartial: isPartial) { return Findings() }
        var pass = ConformingPass(schema: schema, isPartial: isPartial)
        do {
            object = try pass.converted(object, .object(place))
        } catch {
            throw StatusError.badRequest(
                "\(kind.kind) in version \"\(kind.version)\" cannot be handled as a \(kind.kind): \(error.description)")
        }
        var findings = Findings()
        findings.unknownFields = pass.unknownFields
        return findings
    }

    /// Custom kinds: only the metadata has types; what the schema says of the rest is checked when it is complete.
    private func conform(
        _ object: inout JSON, to custom: any CustomKind, isPartial: Bool
    ) throws -> Findings {
        var findings = Findings()
        let metadata = object["metadata"]
        if let place = schema.place(alias: "meta.v1.ObjectMeta"), !metadata.isNull,
            !schema.isInOrder(metadata, .object(place), isPartial: isPartial)
        {
            var pass = ConformingPass(schema: schema, isPartial: isPartial)
            do {
                object["metadata"] = try pass.converted(metadata, .object(place))
            } catch {
                let kind = custom.definition.kind
                throw StatusError.badRequest(
                    "\(kind.kind) in version \"\(kind.version)\" cannot be handled as a \(kind.kind): "
                        + error.description)
            }
            findings.unknownFields = pass.unknownFields.map { "metadata." + $0 }
        }
        findings.unknownFields += custom.prune(&object)
        return findings
    }
}

extension Schema {
    /// Whether a value needs no change to conform to its type. Allocates nothing.
    func isInOrder(_ json: JSON, _ value: SchemaValue, isPartial: Bool) -> Bool {
        switch value {
        case .object(let place):
            guard case .object(let members) = json else { return false }
            let type = types[place]
            for (key, member) in members {
                guard let field = type.field(key), isPartial || !field.isLeftOut(member),
                    isInOrder(member, field.value, isPartial: isPartial)
                else { return false }
            }
            return true
        case .list(let element):
            guard case .array(let elements) = json else { return false }
            for item in elements where !isInOrder(item, element, isPartial: isPartial) { return false }
            return true
        case .map(let element):
            guard case .object(let members) = json else { return false }
            for (_, member) in members where !isInOrder(member, element, isPartial: isPartial) { return false }
            return true
        case .string:
            if case .string = json { return true }
            return false
        case .bool:
            if case .bool = json { return true }
            return false
        case .int32:
            if case .integer(let number) = json { return Int32(exactly: number) != nil }
            return false
        case .int64:
            if case .integer = json { return true }
            return false
        case .double:
            switch json {
            case .integer, .number: return true
            default: return false
            }
        case .bytes:
            if case .string(let text) = json { return Base64Text.isCanonical(text) }
            return false
        case .quantity:
            if case .string(let text) = json { return QuantityText.isCanonical(text) }
            return false
        case .time:
            if case .string(let text) = json { return TimeText.isCanonical(text, fractionDigits: 0) }
            return false
        case .microTime:
            if case .string(let text) = json { return TimeText.isCanonical(text, fractionDigits: 6) }
            return false
        case .intOrString:
            switch json {
            case .string: return true
            case .integer(let number): return Int32(exactly: number) != nil
            default: return false
            }
        case .raw, .fields, .json, .any: return !json.isNull
        case .schemaOrArray, .schemaOrBool, .schemaOrStrings: return false
        }
    }
}
