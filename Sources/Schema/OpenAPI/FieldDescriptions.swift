/// What `kubectl explain` says about types and members: our own words, for what people write most.
///
/// Read from the tables for one document and then dropped.
struct FieldDescriptions {
    private var texts: [Substring: Substring] = [:]

    /// Reads all tables: lines `alias.Type text`, each followed by lines ` member text`.
    init() {
        for table in [
            DescriptionTables.common, DescriptionTables.pods, DescriptionTables.workloads, DescriptionTables.cluster,
        ] {
            let text = table.withUTF8Buffer { String(decoding: $0, as: UTF8.self) }
            var type: Substring = ""
            for line in SchemaReader.split(text.utf8[...], at: UInt8(ascii: "\n")) {
                let isMember = line.hasPrefix(" ")
                let parts = line.drop { $0 == " " }.split(separator: " ", maxSplits: 1)
                guard parts.count == 2 else { continue }
                if isMember {
                    texts[type + "/" + parts[0]] = parts[1]
                } else {
                    type = parts[0]
                    texts[type] = parts[1]
                }
            }
        }
    }

    /// The description of a type by its short name (`core.v1.PodSpec`).
    func type(_ alias: String) -> String? { texts[alias[...]].map(String.init) }

    /// The description of a member; falls back to what the member means in every type (`*`).
    func field(_ alias: String, _ name: String) -> String? {
        (texts["\(alias)/\(name)"] ?? texts["*/\(name)"]).map(String.init)
    }
}
