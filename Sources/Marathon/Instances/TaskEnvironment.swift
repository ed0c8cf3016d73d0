import JSON
import MesosModel

/// Environment variables of a container, as entries of a Kubernetes container's `env`.
struct TaskEnvironment {
    private var order: [String] = []
    private var entries: [String: JSON] = [:]

    var json: JSON { .array(order.compactMap { entries[$0] }) }

    mutating func set(_ name: String, _ value: String) {
        put(name, ["name": .string(name), "value": .string(MesosModel.PodBuilder.literal(value))])
    }
    /// A field of the pod, known when it is placed.
    mutating func set(_ name: String, field: String) {
        put(name, ["name": .string(name), "valueFrom": ["fieldRef": ["fieldPath": .string(field)]]])
    }
    mutating func set(_ name: String, secret: String) {
        let (object, key) = Self.secret(secret)
        put(
            name,
            [
                "name": .string(name),
                "valueFrom": ["secretKeyRef": ["name": .string(object), "key": .string(key)]],
            ])
    }
    private mutating func put(_ name: String, _ entry: JSON) {
        guard !name.isEmpty, !name.contains("=") else { return }
        if entries[name] == nil { order.append(name) }
        entries[name] = entry
    }

    /// A secret's source `NAME/KEY` is a key of a Secret in the namespace; without a key it is `value`.
    static func secret(_ source: String) -> (name: String, key: String) {
        let parts = source.split(separator: "/").map(String.init)
        guard parts.count > 1, let key = parts.last else { return (source, "value") }
        return (parts.dropLast().joined(separator: "-"), key)
    }

    /// `tier.name` as `TIER_NAME`.
    static func upperName(_ text: String) -> String {
        var out: [UInt8] = []
        for byte in text.uppercased().utf8 {
            let isWord =
                (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            if isWord { out.append(byte) } else if out.last != UInt8(ascii: "_") { out.append(UInt8(ascii: "_")) }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// What every task is told of its app.
    mutating func describe(_ spec: RunSpec, enforcesRole: Bool) {
        set("MARATHON_APP_ID", spec.id.text)
        set("MARATHON_APP_VERSION", spec.version)
        set("MARATHON_APP_ENFORCE_GROUP_ROLE", enforcesRole ? "TRUE" : "FALSE")
        let labels = spec.labels.filter { $0.key.utf8.count < 512 && $0.value.utf8.count < 512 }
        set("MARATHON_APP_LABELS", labels.keys.map(Self.upperName).sorted().joined(separator: " "))
        for (key, value) in labels.sorted(by: { $0.key < $1.key }) {
            set("MARATHON_APP_LABEL_" + Self.upperName(key), value)
        }
    }

    /// The variables that a definition sets itself.
    mutating func add(_ environment: JSON, secrets: JSON) {
        for (name, value) in environment.members {
            if let text = value.string {
                set(name, text)
            } else if let key = value["secret"].string, let source = secrets[key]["source"].string {
                set(name, secret: source)
            }
        }
    }
}
