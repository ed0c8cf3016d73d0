import JSON
import ObjectModel

/// Persistent volumes, claims and storage classes.
enum StorageValidation {
    private static let modes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]

    static func claim(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let spec = tree["spec"]
        accessModes(spec["accessModes"], "at least 1 access mode is required", &problems)
        guard let size = Quantity(spec["resources"]["requests"]["storage"]) else {
            problems.add(.required("spec.resources[storage]"))
            return problems.list
        }
        if size.isNegative || size.isZero {
            problems.add(
                .invalid(
                    "spec.resources[storage]", spec["resources"]["requests"]["storage"], "must be greater than zero"))
        }
        if let name = spec["storageClassName"].string, !name.isEmpty {
            problems.syntax("spec.storageClassName", name, Names.dns1123SubdomainProblems(name))
        }
        problems.choice("spec.volumeMode", spec["volumeMode"], ["Block", "Filesystem"])
        problems.labelSelector("spec.selector", spec["selector"])
        return problems.list
    }

    static func claimUpdate(_ new: JSON, _ old: JSON) -> [FieldError] {
        var rest = new["spec"]
        let before = old["spec"]
        // Binding fills these in; a bound claim may grow.
        for field in ["volumeName", "storageClassName"] where (before[field].string ?? "").isEmpty {
            rest.setMember(field, before[field])
        }
        rest.setMember("volumeAttributesClassName", before["volumeAttributesClassName"])
        let asked = Quantity(rest["resources"]["requests"]["storage"]) ?? .zero
        let had = Quantity(before["resources"]["requests"]["storage"]) ?? .zero
        var problems: [FieldError] = []
        if asked != had, old["status"]["phase"].string == "Bound" {
            if asked < had {
                problems.append(
                    .forbidden("spec.resources.requests.storage", "field can not be less than status.capacity"))
            }
            rest["resources"] = before["resources"]
        }
        if rest != before {
            problems.append(
                .forbidden(
                    "spec",
                    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
                ))
        }
        return problems
    }

    static func volume(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let spec = tree["spec"]
        accessModes(spec["accessModes"], "", &problems)
        if spec["capacity"].isNull { problems.add(.required("spec.capacity")) }
        if spec["capacity"].members.count != 1 || spec["capacity"]["storage"].isNull {
            problems.add(.notSupported("spec.capacity", spec["capacity"], ["storage"]))
        }
        let sources = spec.members.keys.filter {
            ![
                "accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy",
                "storageClassName", "volumeMode", "volumeAttributesClassName",
            ].contains($0)
        }
        if sources.isEmpty { problems.add(.required("spec", "must specify a volume type")) }
        for extra in sources.dropFirst() {
            problems.add(.forbidden("spec.\(extra)", "may not specify more than 1 volume type"))
        }
        problems.choice(
            "spec.persistentVolumeReclaimPolicy", spec["persistentVolumeReclaimPolicy"],
            ["Delete", "Recycle", "Retain"])
        if !spec["hostPath"].isNull { problems.need("spec.hostPath.path", spec["hostPath"]["path"]) }
        if spec["hostPath"]["path"].string == "/", spec["persistentVolumeReclaimPolicy"].string == "Recycle" {
            problems.add(
                .forbidden("spec.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'"))
        }
        if !spec["local"].isNull, spec["nodeAffinity"].isNull {
            problems.add(.required("spec.nodeAffinity", "Local volume requires node affinity"))
        }
        return problems.list
    }

    static func volumeUpdate(_ new: JSON, _ old: JSON) -> [FieldError] {
        func source(_ tree: JSON) -> JSON {
            var spec = tree["spec"]
            for field in [
                "accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy",
                "storageClassName", "volumeMode", "volumeAttributesClassName",
            ] {
                spec.removeMember(field)
            }
            return spec
        }
        if source(new) != source(old) {
            return [
                .forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation")
            ]
        }
        return immutable("spec.volumeMode", new["spec"]["volumeMode"], old["spec"]["volumeMode"])
    }

    static func storageClass(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        let provisioner = tree["provisioner"].string ?? ""
        if provisioner.isEmpty {
            problems.add(.required("provisioner"))
        } else {
            problems.syntax("provisioner", provisioner, Names.qualifiedNameProblems(provisioner.lowercased()))
        }
        if tree["parameters"].members.keys.contains("") {
            problems.add(.invalid("parameters", "", "field can not be empty."))
        }
        problems.choice("reclaimPolicy", tree["reclaimPolicy"], ["Delete", "Retain"])
        problems.choice(
            "volumeBindingMode", tree["volumeBindingMode"], ["Immediate", "WaitForFirstConsumer"], isNeeded: true)
        return problems.list
    }

    static func classUpdate(_ new: JSON, _ old: JSON) -> [FieldError] {
        var problems: [FieldError] = []
        for (field, words) in [
            ("parameters", "updates to parameters are forbidden."),
            ("provisioner", "updates to provisioner are forbidden."),
            ("reclaimPolicy", "updates to reclaimPolicy are forbidden."),
        ] where new[field] != old[field] {
            problems.append(.forbidden(field, words))
        }
        problems += immutable("volumeBindingMode", new["volumeBindingMode"], old["volumeBindingMode"])
        return problems
    }

    private static func accessModes(_ value: JSON, _ why: String, _ problems: inout Problems) {
        if value.elements.isEmpty { problems.add(.required("spec.accessModes", why)) }
        for mode in value.elements where !modes.contains(mode.string ?? "") {
            problems.add(.notSupported("spec.accessModes", mode, modes))
        }
        if value.elements.count > 1, value.elements.contains("ReadWriteOncePod") {
            problems.add(.forbidden("spec.accessModes", "may not use ReadWriteOncePod with other access modes"))
        }
    }
}
