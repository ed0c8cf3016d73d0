public import JSON

/// How a message is written.
public enum MesosFormat: Sendable, Hashable {
    case json
    case protobuf

    /// The content type as the original compares it: `application/json` or `application/x-protobuf`.
    public var contentType: String {
        switch self {
        case .json: "application/json"
        case .protobuf: "application/x-protobuf"
        }
    }

    /// The format of a content type; parameters such as `; charset=utf-8` are ignored. Nil for every other type.
    public init?(contentType: String) {
        let type = contentType.prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" }.lowercased()
        switch type {
        case "application/json": self = .json
        case "application/x-protobuf": self = .protobuf
        default: return nil
        }
    }
}

/// Messages of the Mesos v1 APIs between bytes and trees.
///
/// A tree is always Mesos's own JSON mapping: snake_case members, enums by name, bytes in base64, 64-bit integers as
/// numbers, maps as objects, unset members absent. A decoded tree holds exactly what was sent: defaults are not filled
/// in (`withDefaults` does), unknown members and nulls are dropped. Written JSON has the explicit defaults of the messages,
/// as the original writes them; protobuf has not.
public enum MesosCodec {
    /// Longest message in bytes.
    public static let maximumBytes = 32 << 20
    /// Deepest nesting of messages.
    public static let maximumDepth = 100
    /// Most values of one message: two bytes of protobuf may be a value that takes many more in memory.
    static let maximumValues = 4 << 20

    /// Reads a message.
    /// - Parameter name: the full name of its type, for example `mesos.v1.scheduler.Call`.
    /// - Throws: `MesosError` that names the path of the field: what is malformed, of a wrong type, required and missing.
    public static func decode(_ bytes: [UInt8], as name: String, format: MesosFormat) throws(MesosError) -> JSON {
        guard bytes.count <= maximumBytes else {
            throw MesosError(.tooLarge, "the message has \(bytes.count) bytes, more than \(maximumBytes)")
        }
        let place = try place(of: name)
        switch format {
        case .json:
            var options = JSONReadOptions()
            options.maximumDepth = maximumDepth * 2
            let tree: JSON
            do throws(JSONError) {
                tree = try JSON.parse(bytes, options: options)
            } catch {
                throw MesosError(.malformed, "not JSON: \(error)")
            }
            return try conform(tree, place)
        case .protobuf:
            do throws(CodecProblem) {
                return try MesosProtobufReader.read(bytes, place)
            } catch {
                throw error.error
            }
        }
    }

    /// Writes a message.
    /// - Throws: `MesosError` for a tree that is no such message: wrong types, required members missing.
    public static func encode(_ tree: JSON, as name: String, format: MesosFormat) throws(MesosError) -> [UInt8] {
        let place = try place(of: name)
        do throws(CodecProblem) {
            switch format {
            case .json:
                var writer = MesosJSONWriter()
                try writer.message(tree, place, depth: 0)
                return writer.out
            case .protobuf:
                var writer = MesosProtobufWriter()
                try writer.message(tree, place, depth: 0)
                return writer.out
            }
        } catch {
            throw error.error
        }
    }

    /// A tree that came another way (a form field, the store) as a message: checked, unknown members dropped, numbers
    /// and enums in their own form.
    public static func conform(_ tree: JSON, as name: String) throws(MesosError) -> JSON {
        try conform(tree, try place(of: name))
    }

    /// The tree with the explicit defaults of its messages, as JSON output has them; what is no such message stays.
    public static func withDefaults(_ tree: JSON, as name: String) -> JSON {
        guard let place = MesosSchema.shared.place(of: name) else { return tree }
        return MesosDefaults.filled(tree, place, depth: 0)
    }

    private static func conform(_ tree: JSON, _ place: Int) throws(MesosError) -> JSON {
        do throws(CodecProblem) {
            return try MesosJSONReader.message(tree, place, depth: 0)
        } catch {
            throw error.error
        }
    }

    private static func place(of name: String) throws(MesosError) -> Int {
        guard let place = MesosSchema.shared.place(of: name) else {
            throw MesosError(.unknownType, "no message type is called \(name)")
        }
        return place
    }
}

/// A problem somewhere in a message; the path is put together while it travels outwards.
struct CodecProblem: Error {
    var code: MesosError.Code
    var text: String
    /// Innermost first.
    private var path: [String] = []

    init(_ code: MesosError.Code = .invalid, _ text: String) {
        self.code = code
        self.text = text
    }

    static func wrongType(_ expected: String, _ found: JSON) -> CodecProblem {
        let name =
            switch found {
            case .null: "null"
            case .bool: "a boolean"
            case .integer, .number: "a number"
            case .string: "a string"
            case .array: "an array"
            case .object: "an object"
            }
        return CodecProblem(.invalid, "expected \(expected), found \(name)")
    }
    static func missing(_ name: String) -> CodecProblem {
        CodecProblem(.invalid, "Missing required field").under(name)
    }
    static var tooDeep: CodecProblem { CodecProblem(.tooLarge, "messages are nested too deeply") }

    func under(_ name: String) -> CodecProblem {
        var copy = self
        copy.path.append(name)
        return copy
    }
    func under(_ index: Int) -> CodecProblem { under("[\(index)]") }

    var error: MesosError {
        var place = ""
        for step in path.reversed() {
            if !place.isEmpty, step.first != "[" { place += "." }
            place += step
        }
        if place.isEmpty { return MesosError(code, text) }
        return MesosError(code, text.hasPrefix("Missing") ? "\(text): \(place)" : "\(place): \(text)")
    }
}
