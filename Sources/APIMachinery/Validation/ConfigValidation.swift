import JSON
import ObjectModel

/// ConfigMaps and Secrets.
enum ConfigValidation {
    /// 1 MiB, as in Kubernetes.
    private static let limit = 1 << 20

    static func configMap(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        var size = 0
        for (key, value) in tree["data"].members {
            problems.syntax("data[\(key)]", key, Names.configMapKeyProblems(key))
            if !tree["binaryData"][key].isNull {
                problems.add(.invalid("data[\(key)]", .string(key), "duplicate of key present in binaryData"))
            }
            size += value.string?.utf8.count ?? 0
        }
        for (key, value) in tree["binaryData"].members {
            problems.syntax("binaryData[\(key)]", key, Names.configMapKeyProblems(key))
            size += (value.string?.utf8.count ?? 0) / 4 * 3
        }
        if size > limit { problems.add(.tooLong("", maximumBytes: limit)) }
        return problems.list
    }

    static func configMapUpdate(_ new: JSON, _ old: JSON) -> [FieldError] {
        guard old["immutable"].bool == true else { return [] }
        var problems: [FieldError] = []
        if new["immutable"].bool != true { problems.append(frozen("immutable")) }
        if new["data"] != old["data"] { problems.append(frozen("data")) }
        if new["binaryData"] != old["binaryData"] { problems.append(frozen("binaryData")) }
        return problems
    }

    static func secret(_ tree: JSON) -> [FieldError] {
        var problems = Problems()
        var size = 0
        let data = tree["data"]
        for (key, value) in data.members {
            problems.syntax("data[\(key)]", key, Names.configMapKeyProblems(key))
            size += (value.string?.utf8.count ?? 0) / 4 * 3
        }
        if size > limit { problems.add(.tooLong("data", maximumBytes: limit)) }
        switch tree["type"].string ?? "" {
        case "kubernetes.io/service-account-token":
            if (tree["metadata"]["annotations"]["kubernetes.io/service-account.name"].string ?? "").isEmpty {
                problems.add(.required("metadata.annotations[kubernetes.io/service-account.name]"))
            }
        case "kubernetes.io/dockercfg": json(data, ".dockercfg", &problems)
        case "kubernetes.io/dockerconfigjson": json(data, ".dockerconfigjson", &problems)
        case "kubernetes.io/basic-auth":
            if data["username"].isNull, data["password"].isNull {
                problems.add(.required("data[username]"))
                problems.add(.required("data[password]"))
            }
        case "kubernetes.io/ssh-auth":
            problems.need("data[ssh-privatekey]", data["ssh-privatekey"])
        case "kubernetes.io/tls":
            for key in ["tls.crt", "tls.key"] where data[key].isNull { problems.add(.required("data[\(key)]")) }
        default: break
        }
        return problems.list
    }

    private static func json(_ data: JSON, _ key: String, _ problems: inout Problems) {
        guard let text = data[key].string else {
            problems.add(.required("data[\(key)]"))
            return
        }
        if Base64.decode(text.utf8).flatMap({ try? JSON.parse($0) }) == nil {
            problems.add(.invalid("data[\(key)]", "<secret contents redacted>", "the value is not valid JSON"))
        }
    }

    static func secretUpdate(_ new: JSON, _ old: JSON) -> [FieldError] {
        var problems = immutable("type", new["type"], old["type"])
        guard old["immutable"].bool == true else { return problems }
        if new["immutable"].bool != true { problems.append(frozen("immutable")) }
        if new["data"] != old["data"] { problems.append(frozen("data")) }
        return problems
    }

    private static func frozen(_ field: String) -> FieldError {
        .forbidden(field, "field is immutable when `immutable` is set")
    }
}
