import ObjectModel

/// A named rule for texts: `format.dns1123Label()`.
struct FormatValue: CELOpaque {
    let name: String
    let problems: @Sendable (String) -> [String]
    var typeName: String { "kubernetes.NamedFormat" }
    func isEqual(to other: any CELOpaque) -> Bool { (other as? FormatValue)?.name == name }

    static let all: [FormatValue] = [
        FormatValue(name: "dns1123Label") { Names.dns1123LabelProblems($0) },
        FormatValue(name: "dns1123Subdomain") { Names.dns1123SubdomainProblems($0) },
        FormatValue(name: "dns1035Label") { Names.dns1035LabelProblems($0) },
        FormatValue(name: "qualifiedName") { Names.qualifiedNameProblems($0) },
        FormatValue(name: "dns1123LabelPrefix") { Names.dns1123LabelProblems(withoutTrailingDash($0)) },
        FormatValue(name: "dns1123SubdomainPrefix") { Names.dns1123SubdomainProblems(withoutTrailingDash($0)) },
        FormatValue(name: "dns1035LabelPrefix") { Names.dns1035LabelProblems(withoutTrailingDash($0)) },
        FormatValue(name: "labelValue") { Names.labelValueProblems($0) },
        FormatValue(name: "uri") {
            URLValue($0) == nil ? ["parse \(StringFormat.quote($0)): invalid URI for request"] : []
        },
        FormatValue(name: "uuid") { isUUID($0) ? [] : ["does not match the UUID format"] },
        FormatValue(name: "byte") { isBase64($0) ? [] : ["invalid base64"] },
        FormatValue(name: "date") {
            $0.utf8.count == 10 && CELTimestamp($0) != nil ? [] : ["invalid date"]
        },
        FormatValue(name: "datetime") {
            $0.utf8.count > 10 && CELTimestamp($0) != nil ? [] : ["invalid datetime"]
        },
    ]

    /// A prefix that a name is generated from may end with a dash.
    private static func withoutTrailingDash(_ text: String) -> String {
        text.utf8.count > 1 && text.hasSuffix("-") ? String(text.dropLast()) + "a" : text
    }

    private static func isUUID(_ text: String) -> Bool {
        let groups = text.split(separator: "-", omittingEmptySubsequences: false)
        let digits = groups.joined()
        guard digits.utf8.count == 32, digits.utf8.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else {
            return false
        }
        // Dashes are optional, each for itself, but only between the groups.
        var lengths = [8, 4, 4, 4, 12][...]
        for group in groups {
            var length = group.utf8.count
            while length > 0, let next = lengths.first, next <= length {
                length -= next
                lengths.removeFirst()
            }
            if length != 0 { return false }
        }
        return lengths.isEmpty
    }

    private static func isBase64(_ text: String) -> Bool {
        text.utf8.count % 4 == 0 && !text.isEmpty && !text.contains("-") && !text.contains("_")
            && Base64.decode(text.utf8) != nil
    }
}

extension FunctionTable {
    mutating func addFormats() {
        let type = CELType.opaque("kubernetes.NamedFormat")
        for format in FormatValue.all {
            function("format.\(format.name)", [], type) { _ in .opaque(format) }
        }
        function("format.named", [.string], .optional(type)) { arguments in
            let format = FormatValue.all.first { $0.name == arguments[0].asString }
            return .optional(format.map { .opaque($0) })
        }
        member("validate", [type, .string], .optional(.list(.string)), cost: .format) { arguments throws(CELFailure) in
            guard case .opaque(let value) = arguments[0], let format = value as? FormatValue else {
                throw Arithmetic.noOverload
            }
            let problems = format.problems(arguments[1].asString)
            return .optional(problems.isEmpty ? nil : .list(.values(problems.map(CELValue.string))))
        }
    }
}
