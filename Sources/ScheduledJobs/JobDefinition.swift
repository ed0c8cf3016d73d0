public import JSON
public import ObjectModel

/// A window's definition of what runs, as the store has it.
public protocol JobDefinition: Sendable {
    associatedtype Record: JobRecord

    init(_ object: Object)
    var object: Object { get }
    /// As clients know it.
    var name: String { get }
    /// Names of the definitions that it follows.
    var parents: [String] { get }
    var record: Record { get }
    /// Takes the end of a run into a record.
    func count(_ run: JobRun, _ tasks: [JobTask], in record: inout Record)
}

/// What is known of a definition's runs: the `status` of its object.
public protocol JobRecord: Sendable {
    init(_ status: JSON)
    var json: JSON { get set }
    /// How many ends let the definitions that follow start; never counted down.
    var completions: Int { get }
}

extension JobRecord {
    /// Runs whose end was counted, but not yet marked so.
    var counting: Set<String> { Set(json["counting"].elements.compactMap(\.string)) }
    mutating func setCounting(_ runs: [JobRun]) { json["counting"] = .array(runs.map { .string($0.uid) }) }

    /// How often parents had completed when the definition was last started for them; nil: never looked at.
    var parents: [String: Int]? {
        json["parents"].object.map { Dictionary(uniqueKeysWithValues: $0.map { ($0.key, $0.value.int ?? 0) }) }
    }
    mutating func setParents(_ counts: [String: Int]) {
        json["parents"] = .object([:])
        for (name, count) in counts.sorted(by: { $0.key < $1.key }) { json["parents"][name] = JSON(count) }
    }
}
