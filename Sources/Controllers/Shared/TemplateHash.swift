import JSON

/// A stable hash of a pod template, for names (`web-7d4b9c6f5`) and for finding the replica set of a template.
///
/// The value need not equal Kubernetes's (which hashes a Go dump); it must be the same for equal documents in every
/// process: members are visited in sorted order.
enum TemplateHash {
    static let label = "pod-template-hash"
    /// Characters that cannot make up words.
    private static let alphabet = Array("bcdfghjklmnpqrstvwxz2456789")

    /// 32-bit FNV-1a of the template and the collision count, in the safe alphabet.
    static func name(of template: JSON, collisionCount: Int?) -> String {
        var hash = FNV32()
        hash.add(template)
        if let collisionCount { hash.add(text: "#\(collisionCount)") }
        return encode(String(hash.value))
    }

    /// 64 bits that differ for different templates; the hash label itself does not count.
    static func fingerprint(_ template: JSON) -> UInt64 {
        var hash = FNV64()
        hash.add(withoutHashLabel(template))
        return hash.value
    }

    /// The template as its author wrote it.
    static func withoutHashLabel(_ template: JSON) -> JSON {
        guard !template["metadata"]["labels"][label].isNull else { return template }
        var template = template
        template["metadata"]["labels"].removeMember(label)
        return template
    }

    static func encode(_ text: String) -> String {
        String(text.utf8.map { alphabet[Int($0) % alphabet.count] })
    }
}

private protocol ByteHash {
    mutating func add(byte: UInt8)
}

extension ByteHash {
    mutating func add(text: String) {
        for byte in text.utf8 { add(byte: byte) }
        add(byte: 0xff)  // Not in UTF-8: ends the text.
    }

    /// Every value starts with its type, so that `"1"` and `1` differ.
    mutating func add(_ json: JSON) {
        switch json {
        case .null: add(byte: 0)
        case .bool(let value): add(byte: value ? 2 : 1)
        case .integer(let value):
            add(byte: 3)
            add(text: String(value))
        case .number(let value):
            add(byte: 4)
            add(text: value.text)
        case .string(let value):
            add(byte: 5)
            add(text: value)
        case .array(let elements):
            add(byte: 6)
            for element in elements { add(element) }
            add(byte: 7)
        case .object(let members):
            add(byte: 8)
            for key in members.keys.sorted() {
                guard let value = members[key], !value.isNull else { continue }
                add(text: key)
                add(value)
            }
            add(byte: 9)
        }
    }
}

private struct FNV32: ByteHash {
    var value: UInt32 = 2_166_136_261
    mutating func add(byte: UInt8) { value = (value ^ UInt32(byte)) &* 16_777_619 }
}

private struct FNV64: ByteHash {
    var value: UInt64 = 14_695_981_039_346_656_037
    mutating func add(byte: UInt8) { value = (value ^ UInt64(byte)) &* 1_099_511_628_211 }
}
