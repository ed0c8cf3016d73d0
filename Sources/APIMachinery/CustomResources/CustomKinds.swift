import CustomResources
import JSON
import ObjectModel
import Schema

/// The rules of custom kinds, and of their definitions.
enum CustomKinds {
    static func rules(for version: CustomVersion) -> KindRules {
        var rules = KindRules()
        rules.custom = version
        rules.hasStatus = version.hasStatus
        rules.tracksGeneration = true
        rules.generationCountsEverything = true
        rules.statusIsContent = !version.hasStatus
        rules.allowsUnconditionalUpdate = false
        if version.hasStatus {
            rules.prepareCreate = { tree, _ in tree.removeMember("status") }
        }
        rules.validate = { version.problems(of: $0) }
        return rules
    }

    /// Put on definitions that are being deleted, until no object of theirs is left.
    static let finalizer = "customresourcecleanup.apiextensions.k8s.io"

    static func customizeDefinitions(_ rules: inout KindRules) {
        rules.cleanupFinalizer = finalizer
        rules.prepareCreate = { tree, context in
            for text in DefinitionValidation.warnings(of: tree) { context.warn(text) }
            tree["status"] = ["acceptedNames": ["kind": "", "plural": ""], "conditions": [], "storedVersions": []]
            complete(&tree)
        }
        rules.prepareUpdate = { tree, _ in complete(&tree) }
        rules.prepareDelete = { tree in
            setCondition(
                &tree, "Terminating", true, reason: "InstanceDeletionPending",
                message: "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon")
        }
        rules.validate = { DefinitionValidation.problems(of: $0) }
        rules.validateUpdate = { DefinitionValidation.problems(of: $0, old: $1) }
        rules.validateStatus = { DefinitionValidation.statusProblems(of: $0, old: $1) }
    }

    /// Names that follow from others, and the storage version among those that objects are stored in.
    private static func complete(_ tree: inout JSON) {
        let kind = tree["spec"]["names"]["kind"].string ?? ""
        if (tree["spec"]["names"]["singular"].string ?? "").isEmpty, !kind.isEmpty {
            tree["spec"]["names"]["singular"] = .string(kind.lowercased())
        }
        if (tree["spec"]["names"]["listKind"].string ?? "").isEmpty, !kind.isEmpty {
            tree["spec"]["names"]["listKind"] = .string(kind + "List")
        }
        if tree["spec"]["conversion"]["strategy"].isNull { tree["spec"]["conversion"]["strategy"] = "None" }
        let service = tree["spec"]["conversion"]["webhook"]["clientConfig"]["service"]
        if !service.isNull, service["port"].isNull {
            tree["spec"]["conversion"]["webhook"]["clientConfig"]["service"]["port"] = 443
        }
        var stored = tree["status"]["storedVersions"].elements
        for version in tree["spec"]["versions"].elements
        where version["storage"].bool == true && !stored.contains(version["name"]) {
            stored.append(version["name"])
        }
        tree["status"]["storedVersions"] = .array(stored)
    }

    /// Sets a condition of a definition; its time moves when its status does.
    static func setCondition(_ tree: inout JSON, _ type: String, _ isTrue: Bool, reason: String, message: String) {
        var conditions = tree["status"]["conditions"].elements
        let status: JSON = isTrue ? "True" : "False"
        var condition: JSON = ["lastTransitionTime": .string(Timestamp.now.rfc3339)]
        condition["message"] = .string(message)
        condition["reason"] = .string(reason)
        condition["status"] = status
        condition["type"] = .string(type)
        if let place = conditions.firstIndex(where: { $0["type"].string == type }) {
            let known = conditions[place]
            if known["status"] == status { condition["lastTransitionTime"] = known["lastTransitionTime"] }
            conditions[place] = condition
        } else {
            conditions.append(condition)
        }
        tree["status"]["conditions"] = .array(conditions)
    }

    static func isTrue(_ type: String, _ tree: JSON) -> Bool {
        tree["status"]["conditions"].elements.contains {
            $0["type"].string == type && $0["status"].string == "True"
        }
    }
}
