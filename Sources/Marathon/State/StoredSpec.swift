import JSON
import ObjectModel

/// A definition as the store has it, and whether Marathon wrote it so.
final class StoredSpec: Sendable {
    let object: Object
    let spec: RunSpec
    /// False when somebody else made or changed the object: the change is taken up as if it came by the API.
    let isAdopted: Bool
    /// Service ports it holds.
    let servicePorts: [Int]

    init(_ object: Object, kind: RunSpec.Kind) {
        self.object = object
        let tree = object.tree
        var spec = RunSpec(kind: kind, json: tree["spec"])
        if spec.json["id"].string == nil { spec.json["id"] = .string(PathID(objectName: object.name).text) }
        self.spec = spec
        isAdopted =
            tree["metadata"]["annotations"][MarathonNames.digestAnnotation].string == Digest.text(of: tree["spec"])
        servicePorts = kind == .app ? spec.servicePorts.filter { $0 != 0 } : []
    }

    var problem: String? { object.tree["metadata"]["annotations"][MarathonNames.problemAnnotation].string }
    /// The version that Marathon wrote last.
    var knownVersion: String? { object.tree["metadata"]["annotations"][MarathonNames.versionAnnotation].string }
}

/// A group as the store has it.
final class StoredGroup: Sendable {
    let object: Object
    let info: GroupInfo

    init(_ object: Object) {
        self.object = object
        var info = GroupInfo(object.tree["spec"])
        if object.tree["spec"]["id"].string == nil { info.id = PathID(objectName: object.name) }
        self.info = info
    }
}

/// A version of a definition, kept as a ControllerRevision.
final class StoredVersion: Sendable {
    let object: Object
    let id: PathID
    let version: String
    let kind: RunSpec.Kind
    /// Nil: it was removed then.
    let spec: RunSpec?

    init(_ object: Object) {
        self.object = object
        let data = object.tree["data"]
        id = PathID(data["id"].string ?? "")
        version = data["version"].string ?? ""
        kind = data["kind"].string.flatMap(RunSpec.Kind.init) ?? .app
        spec = data["spec"].isNull ? nil : RunSpec(kind: kind, json: data["spec"])
    }
}

/// A number that is the same for the same document, whatever the order of its members.
enum Digest {
    static func text(of json: JSON) -> String {
        var hash = FNV()
        hash.add(json)
        return String(hash.value, radix: 16)
    }

    private struct FNV {
        var value: UInt64 = 14_695_981_039_346_656_037
        mutating func add(byte: UInt8) { value = (value ^ UInt64(byte)) &* 1_099_511_628_211 }
        mutating func add(_ text: String) {
            for byte in text.utf8 { add(byte: byte) }
            add(byte: 0xff)
        }
        mutating func add(_ json: JSON) {
            switch json {
            case .null: add(byte: 0)
            case .bool(let value): add(byte: value ? 2 : 1)
            case .integer(let value): add(Double(value))
            case .number(let value): add(value.doubleValue)
            case .string(let value):
                add(byte: 5)
                add(value)
            case .array(let elements):
                add(byte: 6)
                for element in elements { add(element) }
                add(byte: 7)
            case .object(let members):
                add(byte: 8)
                for key in members.keys.sorted() {
                    guard let value = members[key], !value.isNull else { continue }
                    add(key)
                    add(value)
                }
                add(byte: 9)
            }
        }
        /// 1 and 1.0 are one number.
        mutating func add(_ number: Double) {
            add(byte: 3)
            for shift in stride(from: 0, to: 64, by: 8) {
                add(byte: UInt8(truncatingIfNeeded: number.bitPattern >> UInt64(shift)))
            }
        }
    }
}
