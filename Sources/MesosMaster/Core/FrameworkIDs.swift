import MesosModel
import ObjectModel

/// Ids that the master makes.
enum FrameworkIDs {
    /// The uuid of a status that the master says of its own and keeps until it is acknowledged.
    static func status(_ pod: String, _ task: String, _ state: String) -> String {
        base64(ofUUID: MesosNames.uuid(of: pod, task, state))
    }

    /// A new UUID as text and as base64 of its bytes.
    static func uuid() -> (text: String, base64: String) {
        var generator = SystemRandomNumberGenerator()
        var bytes = (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        let hex = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
        let text = [hex[0..<4], hex[4..<6], hex[6..<8], hex[8..<10], hex[10..<16]].map { $0.joined() }
            .joined(separator: "-")
        return (text, Base64.encode(bytes))
    }

    static func base64(ofUUID text: String) -> String {
        var bytes: [UInt8] = []
        var rest = text.filter { $0 != "-" }[...]
        while rest.utf8.count >= 2 {
            if let byte = UInt8(rest.prefix(2), radix: 16) { bytes.append(byte) }
            rest = rest.dropFirst(2)
        }
        return Base64.encode(bytes)
    }
}
