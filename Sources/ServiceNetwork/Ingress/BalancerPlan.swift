/// Everything that the balancer is to do, as a value: equal plans need no reload.
struct BalancerPlan: Sendable, Equatable {
    /// A rule of the shared HTTP and HTTPS ports.
    struct Route: Sendable, Equatable {
        enum Match: Sendable, Equatable {
            /// This path alone.
            case exact
            /// The path and what lies below it: `/a` is not `/ab`.
            case prefix
            /// Whatever begins so.
            case text
        }
        /// In lower case; empty for every host; `*.example.org` for one label before the dot.
        var host: String
        var path: String
        var match: Match
        var backend: String
    }
    struct Server: Sendable, Hashable {
        var address: String
        var port: Int
    }
    struct Backend: Sendable, Equatable {
        var isHTTP = true
        /// One of the balancer's algorithms.
        var balance = "roundrobin"
        /// A client stays with its server.
        var isSticky = false
        var redirectsToHTTPS = false
        /// Browsers are told to come by HTTPS only.
        var isStrict = false
        /// Put before the path that the server sees.
        var serverPath = ""
        var servers: [Server] = []
    }
    /// A port of its own for one backend.
    struct Listener: Sendable, Equatable {
        var address: String
        var port: Int
        var isHTTP: Bool
        var backend: String
    }
    struct Certificate: Sendable, Equatable {
        /// Name of the file in the certificates' folder.
        var file: String
        /// Certificates and key.
        var pem: String
        /// Hosts that it is for; empty: those that it names.
        var hosts: [String]
    }

    /// 0: not served.
    var httpPort: Int
    var httpsPort: Int
    var routes: [Route] = []
    var backends: [String: Backend] = [:]
    /// Gets what no route is for.
    var defaultBackend: String?
    var listeners: [Listener] = []
    var certificates: [Certificate] = []
}

/// Names and values that come from users and go into a configuration file: nothing but what is known to be harmless.
enum BalancerText {
    static let algorithms: Set = ["roundrobin", "static-rr", "leastconn", "first", "source", "uri", "random"]

    /// A host name or `*.` and one; nil for anything else.
    static func host(_ text: String) -> String? {
        let text = text.lowercased()
        let name = text.hasPrefix("*.") ? text.dropFirst(2) : Substring(text)
        guard !name.isEmpty, name.utf8.count <= 253,
            name.utf8.allSatisfy({ byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                    true
                default: false
                }
            })
        else { return nil }
        return text
    }

    /// A path of visible characters; nil for anything else.
    static func path(_ text: String) -> String? {
        guard text.hasPrefix("/"), text.utf8.count <= 2048, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            return nil
        }
        return text
    }

    /// A path that may stand in a rule, where some characters mean something.
    static func plainPath(_ text: String) -> String? {
        let plain = path(text)?.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "/"):
                true
            default: false
            }
        }
        return plain == true ? text : nil
    }

    static func address(_ text: String) -> String? {
        if text == "*" || text.isEmpty { return "*" }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.allSatisfy { UInt8($0) != nil } ? text : nil
    }

    /// A name that the balancer allows, and that tells all names apart.
    static func name(_ parts: String...) -> String {
        let joined = parts.joined(separator: "/")
        let readable = joined.prefix(60).map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") ? $0 : "_" }
        return String(readable) + "_" + ServiceCompiler.shortHash(joined)
    }
}
