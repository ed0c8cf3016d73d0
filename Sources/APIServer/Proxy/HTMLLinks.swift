/// Makes the absolute links of a page lead through the proxy that it was fetched through.
enum HTMLLinks {
    /// Longer pages stay as they are.
    static let maximumBytes = 4 << 20

    private static let attributes = [
        "href", "src", "action", "background", "cite", "longdesc", "data", "poster", "formaction", "icon", "manifest",
    ].map { Array($0.utf8) }

    /// Puts a prefix in front of every attribute value that is an absolute path.
    static func prefixed(_ page: [UInt8], _ prefix: String) -> [UInt8] {
        let prefix = Array(prefix.utf8)
        var out: [UInt8] = []
        out.reserveCapacity(page.count + 256)
        var isInTag = false
        var index = 0
        while index < page.count {
            let byte = page[index]
            out.append(byte)
            index += 1
            if byte == UInt8(ascii: "<") { isInTag = true }
            if byte == UInt8(ascii: ">") { isInTag = false }
            guard isInTag, byte == UInt8(ascii: "="), endsWithLink(page[..<(index - 1)]) else { continue }
            while index < page.count,
                page[index] == 0x20 || page[index] == UInt8(ascii: "\"")
                    || page[index] == UInt8(ascii: "'")
            {
                out.append(page[index])
                index += 1
            }
            // `//host/…` is another host.
            guard index < page.count, page[index] == UInt8(ascii: "/"),
                index + 1 == page.count || page[index + 1] != UInt8(ascii: "/"),
                !page[index...].starts(with: prefix)
            else { continue }
            out += prefix
        }
        return out
    }

    /// Whether the text in front of an equals sign is the name of an attribute with a link.
    private static func endsWithLink(_ text: ArraySlice<UInt8>) -> Bool {
        var end = text.endIndex
        while end > text.startIndex, text[end - 1] == 0x20 { end -= 1 }
        var start = end
        while start > text.startIndex, case let byte = text[start - 1] | 0x20, (0x61...0x7A).contains(byte) {
            start -= 1
        }
        guard start > text.startIndex, [0x20, 0x09, 0x0A, 0x0D].contains(text[start - 1]) else { return false }
        let name = text[start..<end].map { $0 | 0x20 }
        return attributes.contains(name)
    }
}
