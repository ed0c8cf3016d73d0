import JSON

/// Something to bring into a container's sandbox before it starts: Mesos' `CommandInfo.URI`.
struct FetchRequest: Sendable, Hashable {
    /// Annotation on pods: `{"container": [URI]}`.
    static let annotation = "mesos.apus.dev/uris"

    /// `http:`, `https:` or `file:`, or an absolute path of the node.
    var address: String
    var isExecutable: Bool
    /// Archives are unpacked beside the file.
    var extracts: Bool
    var isCached: Bool
    /// Path in the sandbox; empty for the last part of the address.
    var output: String

    init(_ json: JSON) {
        address = json["value"].string ?? ""
        isExecutable = json["executable"].bool ?? false
        extracts = json["extract"].bool ?? true
        isCached = json["cache"].bool ?? false
        output = json["output_file"].string ?? ""
    }

    /// What a pod's annotation asks for one container.
    /// - Throws: `FetchError` when it is not JSON.
    static func all(_ annotations: [String: String], container: String) throws(FetchError) -> [FetchRequest] {
        guard let text = annotations[annotation], !text.isEmpty else { return [] }
        guard let json = try? JSON.parse(text) else {
            throw FetchError("annotation \(annotation) is not JSON")
        }
        return json[container].elements.map { FetchRequest($0) }
    }

    enum Source: Hashable {
        case web(String)
        case file(String)
    }
    func source() throws(FetchError) -> Source {
        if address.hasPrefix("http://") || address.hasPrefix("https://") { return .web(address) }
        if address.hasPrefix("file://") {
            let path = String(address.dropFirst("file://".count))
            guard path.hasPrefix("/") else { throw FetchError("\(address) names a host: only local files are fetched") }
            return .file(path)
        }
        if address.hasPrefix("/") { return .file(address) }
        throw FetchError(
            "cannot fetch \(address): only http, https, file and absolute paths are supported")
    }

    /// Parts of the path in the sandbox.
    func destination() throws(FetchError) -> [String] {
        var text = Substring(output)
        if text.isEmpty {
            let path = address.prefix { $0 != "?" && $0 != "#" }
            text = path.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
            if path.range(of: "://") != nil, path.filter({ $0 == "/" }).count < 3 { text = "" }
        }
        let parts = text.split(separator: "/").map(String.init)
        guard !parts.isEmpty, !text.hasPrefix("/"), !parts.contains(".."), !parts.contains("."),
            !text.contains("\0")
        else { throw FetchError("cannot fetch \(address): \"\(text)\" is no path inside the sandbox") }
        return parts
    }

    /// How an archive is unpacked, by its name; nil when it is none, or is not to be unpacked.
    func unpacking(_ name: String) -> Archive? {
        guard extracts, !isExecutable else { return nil }
        let name = name.lowercased()
        for ending in [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"]
        where name.hasSuffix(ending) && name != ending { return .tar }
        if name.hasSuffix(".zip") { return .zip }
        if name.hasSuffix(".gz") { return .gzip }
        return nil
    }
    enum Archive: Sendable { case tar, zip, gzip }
}

/// Why something was not fetched, for the user.
struct FetchError: Error, Sendable, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}
