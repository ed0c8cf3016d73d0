import Compression

extension Request {
    /// Whether the client takes gzip.
    var acceptsGzip: Bool {
        Gzip.isAccepted(headers[canonicalForm: "accept-encoding"])
    }
}
