/// Task and framework names as DNS labels, the way Mesos-DNS forms them.
enum MesosLabels {
    /// A task's name: lower case, dots and underscores as `-`, what DNS does not allow left out, at most 63 characters.
    /// Empty when nothing is left.
    static func task(_ name: String) -> String {
        label(
            name.lowercased().utf8.map { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_") ? UInt8(ascii: "-") : $0 })
    }

    /// A framework's name, which keeps its dots: several labels then.
    static func framework(_ name: String) -> String {
        name.lowercased().split(separator: ".").map { label(Array($0.utf8)) }.filter { !$0.isEmpty }
            .joined(separator: ".")
    }

    private static func label(_ bytes: [UInt8]) -> String {
        let allowed = bytes.filter {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                || $0 == UInt8(ascii: "-")
        }
        let trimmed = allowed.drop { $0 == UInt8(ascii: "-") }.prefix(63)
        guard let last = trimmed.lastIndex(where: { $0 != UInt8(ascii: "-") }) else { return "" }
        return String(decoding: trimmed[...last], as: UTF8.self)
    }

    /// Five characters of a hash (FNV-1a) that tell the tasks of one name apart.
    static func hash(_ id: String) -> String {
        var value: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in id.utf8 { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        let alphabet = Array("ybndrfg8ejkmcpqxot1uwisza345h769")
        return String((0..<5).map { alphabet[Int(value >> (UInt64($0) * 5 + 20) & 31)] })
    }
}
