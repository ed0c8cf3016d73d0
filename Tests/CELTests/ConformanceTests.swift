import CEL
import Glibc
import ObjectModel
import Testing

private let directory = getenv("APUS_CEL_CONFORMANCE").map { String(cString: $0) }

/// The public conformance data (https://github.com/google/cel-spec, `tests/simple/testdata`), from the directory that
/// `APUS_CEL_CONFORMANCE` names. Tests about protocol-buffer messages are left out: Kubernetes has none.
@Suite("CEL conformance", .enabled(if: directory != nil, "APUS_CEL_CONFORMANCE names no directory"))
struct ConformanceTests {
    private static let files = [
        "basic", "bindings_ext", "comparisons", "conversions", "dynamic", "encoders_ext", "fields", "fp_math",
        "integer_math", "lists", "logic", "macros", "macros2", "math_ext", "namespace", "network_ext", "optionals",
        "parse", "plumbing", "string", "string_ext", "timestamps", "type_deduction", "unknowns", "enums", "wrappers",
        "block_ext", "proto2", "proto2_ext", "proto3",
    ]

    /// Where Kubernetes differs: it refuses IPv4 addresses mapped into IPv6, cel-go finds nothing beyond the end, and
    /// every name must be declared.
    private static let differences: Set<String> = [
        "ipv4_equals_ipv6", "ipv4_not_equals_ipv6", "indexof_out_of_range", "lastindexof_out_of_range",
        "convert_unnamed_to_int", "unbound_is_runtime_error",
    ]

    @Test("Every test of the files passes, or concerns messages", arguments: files)
    func file(name: String) throws {
        guard let text = read("\(directory ?? "")/\(name).textproto"), let file = TextProto(text) else {
            Issue.record("cannot read \(name)")
            return
        }
        var passed = 0
        var skipped = 0
        for section in file.messages("section") {
            for test in section.messages("test") {
                if Self.concernsMessages(test) || Self.differences.contains(test.string("name") ?? "") {
                    skipped += 1
                    continue
                }
                if let problem = Self.run(test) {
                    Issue.record(
                        "\(name)/\(section.string("name") ?? "")/\(test.string("name") ?? ""): \(test.string("expr") ?? ""): \(problem)"
                    )
                } else {
                    passed += 1
                }
            }
        }
        print("conformance \(name): \(passed) passed, \(skipped) about messages")
    }

    private static func concernsMessages(_ test: TextProto) -> Bool {
        let marks = [
            "TestAllTypes", "NestedTestAllTypes", "google.protobuf.", "GlobalEnum", "proto2", "proto3", "proto.",
            "cel.block", "cel.iterVar", "cel.index",
        ]
        let expression = test.string("expr") ?? ""
        let plain = expression.split(separator: "google.protobuf.Timestamp").joined()
            .split(separator: "google.protobuf.Duration").joined()
        if marks.contains(where: { plain.contains($0) }) { return true }
        if expression.contains("google.protobuf.Timestamp{") || expression.contains("google.protobuf.Duration{") {
            return true
        }
        if test.string("container")?.contains("proto") == true { return true }
        // Functions that only the test's environment declares.
        if test.messages("type_env").contains(where: { $0.message("function") != nil }) { return true }
        let text = "\(test.fields)"
        return ["message_type", "wrapper:", "well_known: ANY", "[type.googleapis.com/cel", "unknown"].contains {
            text.contains($0)
        }
    }

    /// What is wrong; nil when the test passes.
    private static func run(_ test: TextProto) -> String? {
        var variables: [(String, CELType)] = []
        for declaration in test.messages("type_env") {
            guard let name = declaration.string("name"), let ident = declaration.message("ident"),
                let type = ident.message("type").flatMap({ type($0) })
            else { continue }
            variables.append((name, type))
        }
        var values: [String: CELValue] = [:]
        for binding in test.messages("bindings") {
            guard let key = binding.string("key"), let value = binding.message("value")?.message("value") else {
                continue
            }
            values[key] = Self.value(value)
            if !variables.contains(where: { $0.0 == key }) { variables.append((key, .dyn)) }
        }
        var environment = CELEnvironment(variables: variables, libraries: [.kubernetes, .extensions])
        environment.container = test.string("container") ?? ""
        let wantsError = test.message("eval_error") != nil || test.message("any_eval_errors") != nil
        let program: CELProgram
        do {
            program = try environment.compile(test.string("expr") ?? "")
        } catch {
            // Some are meant to run unchecked; Kubernetes checks everything first.
            return wantsError || test.word("disable_check") == "true" ? nil : "does not compile: \(error)"
        }
        if let deduced = test.message("typed_result")?.message("deduced_type").flatMap({ type($0) }),
            deduced != program.resultType
        {
            return "has the type \(program.resultType) instead of \(deduced)"
        }
        if test.word("check_only") == "true" { return nil }
        var budget = CELBudget()
        do {
            let result = try program.evaluate(values, budget: &budget)
            if wantsError { return "gives \(result) instead of an error" }
            let wanted = test.message("value") ?? test.message("typed_result")?.message("result")
            let expected = wanted.flatMap { value($0) } ?? .bool(true)
            if isSame(result, expected) { return nil }
            return "gives \(result) instead of \(expected)"
        } catch {
            return wantsError ? nil : "fails: \(error)"
        }
    }

    private static func isSame(_ result: CELValue, _ expected: CELValue) -> Bool {
        switch (result, expected) {
        case (.double(let a), .double(let b)) where a.isNaN && b.isNaN: true
        case (.int, .int), (.uint, .uint), (.double, .double): result.isEqual(to: expected)
        case (.int, _), (.uint, _), (.double, _): false
        default: result.isEqual(to: expected)
        }
    }

    private static func value(_ proto: TextProto) -> CELValue? {
        guard let name = proto.fields.first?.name else { return nil }
        switch name {
        case "null_value": return .null
        case "bool_value": return .bool(proto.word(name) == "true")
        case "int64_value": return proto.word(name).flatMap { number($0) }.map(CELValue.int)
        case "uint64_value": return proto.word(name).flatMap { UInt64($0) }.map(CELValue.uint)
        case "double_value": return proto.word(name).flatMap { Double($0.lowercased()) }.map(CELValue.double)
        case "string_value": return proto.string(name).map(CELValue.string)
        case "bytes_value": return proto.bytes(name).map(CELValue.bytes)
        case "type_value": return proto.string(name).map { .type(named($0)) }
        case "list_value":
            return .list(.values(proto.message(name)?.messages("values").compactMap { value($0) } ?? []))
        case "map_value":
            var entries = CELEntries()
            for entry in proto.message(name)?.messages("entries") ?? [] {
                guard let key = entry.message("key").flatMap({ value($0) }) else { return nil }
                _ = entries.insert(key, entry.message("value").flatMap { value($0) } ?? .null)
            }
            return .map(.entries(entries))
        case "object_value":
            guard let object = proto.message(name), let field = object.fields.first,
                case .message(let parts) = field.value
            else { return nil }
            let seconds = parts.word("seconds").flatMap { Int64($0) } ?? 0
            let nanos = parts.word("nanos").flatMap { Int64($0) } ?? 0
            if field.name.contains("Timestamp") {
                return .timestamp(CELTimestamp(seconds: seconds, nanoseconds: Int32(nanos)))
            }
            if field.name.contains("Duration") {
                return .duration(GoDuration(nanoseconds: seconds &* 1_000_000_000 &+ nanos))
            }
            return nil
        default: return nil
        }
    }

    private static func number(_ text: String) -> Int64? {
        text.hasPrefix("0x") ? Int64(text.dropFirst(2), radix: 16) : Int64(text)
    }

    private static func named(_ name: String) -> CELType {
        switch name {
        case "bool": .bool
        case "int": .int
        case "uint": .uint
        case "double": .double
        case "string": .string
        case "bytes": .bytes
        case "list": .list(.dyn)
        case "map": .map(.dyn, .dyn)
        case "null_type": .null
        case "type": .type(.dyn)
        case "google.protobuf.Timestamp": .timestamp
        case "google.protobuf.Duration": .duration
        case "optional_type": .optional(.dyn)
        default: .opaque(name)
        }
    }

    private static func type(_ proto: TextProto) -> CELType? {
        guard let name = proto.fields.first?.name else { return nil }
        switch name {
        case "primitive", "well_known":
            switch proto.word(name) {
            case "BOOL": return .bool
            case "INT64": return .int
            case "UINT64": return .uint
            case "DOUBLE": return .double
            case "STRING": return .string
            case "BYTES": return .bytes
            case "TIMESTAMP": return .timestamp
            case "DURATION": return .duration
            default: return nil
            }
        case "dyn": return .dyn
        case "null": return .null
        case "list_type": return .list(proto.message(name)?.message("elem_type").flatMap { type($0) } ?? .dyn)
        case "map_type":
            let map = proto.message(name)
            return .map(
                map?.message("key_type").flatMap { type($0) } ?? .dyn,
                map?.message("value_type").flatMap { type($0) } ?? .dyn)
        case "type": return .type(proto.message(name).flatMap { type($0) } ?? .dyn)
        case "abstract_type":
            let parameters = proto.message(name)?.messages("parameter_types").compactMap { type($0) } ?? []
            return parameters.count == 1 ? .optional(parameters[0]) : nil
        default: return nil
        }
    }
}

private func read(_ path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[0..<count] }
    return String(decoding: bytes, as: UTF8.self)
}
