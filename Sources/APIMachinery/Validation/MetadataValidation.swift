import JSON
import ObjectModel

/// The rules of `metadata`, the same for every kind.
enum MetadataValidation {
    static let annotationLimit = 256 * 1024

    static func object(
        _ metadata: JSON, naming: KindRules.Naming, isNamespaced: Bool, allowsBareFinalizers: Bool = false
    ) -> [FieldError] {
        var problems = Problems()
        let name = metadata["name"].string ?? ""
        if let base = metadata["generateName"].string, !base.isEmpty {
            // The base may end in what the random part completes.
            let sample = base.hasSuffix("-") || base.hasSuffix(".") ? base.dropLast() + "a" : base[...]
            problems.syntax("metadata.generateName", base, naming.problems(String(sample)))
        }
        if name.isEmpty {
            problems.add(.required("metadata.name", "name or generateName is required"))
        } else {
            problems.syntax("metadata.name", name, naming.problems(name))
        }
        if isNamespaced {
            let namespace = metadata["namespace"].string ?? ""
            problems.syntax("metadata.namespace", namespace, Names.dns1123LabelProblems(namespace))
        }
        problems.notNegative("metadata.generation", metadata["generation"])
        problems.labels("metadata.labels", metadata["labels"])
        annotations(metadata["annotations"], "metadata.annotations", &problems)
        owners(metadata["ownerReferences"], &problems)
        finalizers(metadata["finalizers"], allowsBare: allowsBareFinalizers, &problems)
        return problems.list
    }

    static func annotations(_ annotations: JSON, _ field: String, _ problems: inout Problems) {
        var size = 0
        for (key, value) in annotations.members {
            size += key.utf8.count + (value.string?.utf8.count ?? 0)
            problems.syntax(
                field, key,
                Names.qualifiedNameProblems(key.lowercased()).map {
                    $0.hasPrefix("a qualified name ")
                        ? "a valid label key " + $0.dropFirst("a qualified name ".count) : $0
                })
        }
        if size > annotationLimit { problems.add(.tooLong(field, maximumBytes: annotationLimit)) }
    }

    private static func owners(_ references: JSON, _ problems: inout Problems) {
        var controller: String?
        for (index, reference) in references.elements.enumerated() {
            let field = "metadata.ownerReferences[\(index)]"
            for part in ["apiVersion", "kind", "name", "uid"] where (reference[part].string ?? "").isEmpty {
                problems.add(
                    .invalid("\(field).\(part)", reference[part].isNull ? "" : reference[part], "must not be empty"))
            }
            let kind = reference["kind"].string ?? ""
            if reference["apiVersion"].string == "v1", kind == "Event" {
                problems.add(.invalid(field, "v1, Kind=Event", "is disallowed from being an owner"))
            }
            guard reference["controller"].bool == true else { continue }
            if let controller {
                problems.add(
                    .invalid(
                        "metadata.ownerReferences", references,
                        "Only one reference can have Controller set to true. Found \"true\" in references for \(controller) and "
                            + "\(kind)/\(reference["name"].string ?? "")"))
            }
            controller = "\(kind)/\(reference["name"].string ?? "")"
        }
    }

    private static func finalizers(_ finalizers: JSON, allowsBare: Bool, _ problems: inout Problems) {
        let names = finalizers.elements.compactMap(\.string)
        for name in names {
            problems.syntax("metadata.finalizers", name, Names.qualifiedNameProblems(name))
            if !allowsBare, !name.contains("/"), !["foregroundDeletion", "orphan", "kubernetes"].contains(name),
                Names.qualifiedNameProblems(name).isEmpty
            {
                problems.add(
                    .invalid(
                        "metadata.finalizers", .string(name),
                        "name is neither a standard finalizer name nor is it fully qualified"))
            }
        }
        if names.contains("foregroundDeletion"), names.contains("orphan") {
            problems.add(
                .invalid(
                    "metadata.finalizers", finalizers,
                    "finalizers foregroundDeletion and orphan cannot be both set"))
        }
    }

    /// What a change may not do.
    static func update(_ new: JSON, _ old: JSON) -> [FieldError] {
        var problems: [FieldError] = []
        for field in ["name", "namespace"] { problems += immutable("metadata.\(field)", new[field], old[field]) }
        if old["deletionTimestamp"].string != nil {
            let known = Set(old["finalizers"].elements.compactMap(\.string))
            let added = new["finalizers"].elements.compactMap(\.string).filter { !known.contains($0) }
            if !added.isEmpty {
                problems.append(
                    .forbidden(
                        "metadata.finalizers",
                        "no new finalizers can be added if the object is being deleted, found new finalizers "
                            + "[]string{\(added.map { "\"\($0)\"" }.joined(separator: ", "))}"))
            }
        }
        return problems
    }
}
