/// A domain name: labels without dots, compared without regard to case. At most 255 bytes on the wire (RFC 1035 §3.1).
struct DNSName: Sendable, Hashable, CustomStringConvertible {
    /// Lower-case labels, most specific first; empty for the root.
    let labels: [String]

    /// From labels; the case is folded.
    init(labels: [String]) {
        self.labels = labels.map { $0.lowercased() }
    }

    /// From text such as `web.shop.svc.cluster.local`, with or without the final dot.
    init(_ text: String) {
        self.init(labels: text.split(separator: ".").map(String.init))
    }

    /// The labels before a suffix, or nil when the name does not end in it.
    func labels(under suffix: DNSName) -> ArraySlice<String>? {
        guard labels.count >= suffix.labels.count,
            labels.suffix(suffix.labels.count).elementsEqual(suffix.labels)
        else { return nil }
        return labels.dropLast(suffix.labels.count)
    }

    var description: String { labels.joined(separator: ".") + "." }
}
