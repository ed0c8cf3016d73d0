/// Base64 (RFC 4648): the standard alphabet with padding, and the URL alphabet without.
public enum Base64 {
    private static let standard = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let url = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    private static let standardValues = values(of: standard)
    private static let urlValues = values(of: url)

    /// The value of each character; 0xFF for those outside the alphabet.
    private static func values(of alphabet: [UInt8]) -> [UInt8] {
        var values = [UInt8](repeating: 0xFF, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
        return values
    }

    /// Standard alphabet, padded with `=`.
    public static func encode(_ bytes: some Collection<UInt8>) -> String {
        var out = encode(bytes, standard)
        while out.count % 4 != 0 { out.append(0x3D) }
        return String(decoding: out, as: UTF8.self)
    }

    /// URL alphabet without padding, as in JWTs.
    public static func encodeURL(_ bytes: some Collection<UInt8>) -> String {
        String(decoding: encode(bytes, url), as: UTF8.self)
    }

    private static func encode(_ bytes: some Collection<UInt8>, _ alphabet: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count * 4 + 2) / 3 + 2)
        var pending: UInt32 = 0
        var bits = 0
        for byte in bytes {
            pending = pending << 8 | UInt32(byte)
            bits += 8
            while bits >= 6 {
                bits -= 6
                out.append(alphabet[Int(pending >> UInt32(bits) & 63)])
            }
            pending &= 0xFF
        }
        if bits > 0 { out.append(alphabet[Int(pending << UInt32(6 - bits) & 63)]) }
        return out
    }

    /// Decodes the standard alphabet as Go's JSON does: line breaks are skipped. Padding may be missing.
    /// - Returns: nil for any other character, also for one behind the padding, and for wrong padding.
    public static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        var out: [UInt8] = []
        out.reserveCapacity(text.count / 4 * 3 + 2)
        var pending: UInt32 = 0
        var bits = 0
        var letters = 0
        var padding = 0
        for character in text {
            let value = standardValues[Int(character)]
            if value == 0xFF {
                if character == 0x3D { padding += 1 }
                if character == 0x3D || character == 0x0A || character == 0x0D { continue }
                return nil
            }
            if padding > 0 { return nil }
            letters += 1
            pending = (pending << 6 | UInt32(value)) & 0xFFF
            bits += 6
            if bits >= 8 {
                bits -= 8
                out.append(UInt8(pending >> UInt32(bits) & 0xFF))
            }
        }
        // A single character carries no byte; padding fills up the last four.
        if letters % 4 == 1 || padding > 0 && (padding > 2 || (letters + padding) % 4 != 0) { return nil }
        return out
    }

    /// Decodes the URL alphabet strictly: no padding, no other character, no stray bits, so that each byte string has
    /// exactly one spelling and a token cannot be respelled.
    public static func decodeURL(_ text: some Collection<UInt8>) -> [UInt8]? {
        var out: [UInt8] = []
        out.reserveCapacity(text.count * 3 / 4)
        var pending: UInt32 = 0
        var bits = 0
        for character in text {
            let value = urlValues[Int(character)]
            if value == 0xFF { return nil }
            pending = (pending << 6 | UInt32(value)) & 0xFFF
            bits += 6
            if bits >= 8 {
                bits -= 8
                out.append(UInt8(pending >> UInt32(bits) & 0xFF))
            }
        }
        if text.count % 4 == 1 || pending & (1 << UInt32(bits) - 1) != 0 { return nil }
        return out
    }
}
