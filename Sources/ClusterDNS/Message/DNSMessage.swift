/// The record types that are answered or passed on.
struct DNSType: RawRepresentable, Sendable, Hashable {
    var rawValue: UInt16
    static let a = DNSType(rawValue: 1)
    static let ns = DNSType(rawValue: 2)
    static let cname = DNSType(rawValue: 5)
    static let soa = DNSType(rawValue: 6)
    static let ptr = DNSType(rawValue: 12)
    static let txt = DNSType(rawValue: 16)
    static let aaaa = DNSType(rawValue: 28)
    static let srv = DNSType(rawValue: 33)
    static let opt = DNSType(rawValue: 41)
    static let any = DNSType(rawValue: 255)
}

/// Response codes (RFC 1035 §4.1.1).
enum DNSResponseCode: UInt16, Sendable {
    case noError = 0
    case formatError = 1
    case serverFailure = 2
    case nameError = 3
    case notImplemented = 4
    case refused = 5
}

/// What is asked.
struct DNSQuestion: Sendable, Hashable {
    var name: DNSName
    var type: DNSType
    var recordClass: UInt16
}

/// One resource record with the data that this server gives.
struct DNSRecord: Sendable, Hashable {
    enum Data: Sendable, Hashable {
        /// 4 bytes for A, 16 for AAAA.
        case address([UInt8])
        case name(DNSName, type: DNSType)
        case service(priority: UInt16, weight: UInt16, port: UInt16, target: DNSName)
        case text(String)
        case authority(server: DNSName, mailbox: DNSName, serial: UInt32, minimum: UInt32)
    }
    var name: DNSName
    var timeToLive: UInt32
    var data: Data

    var type: DNSType {
        switch data {
        case .address(let bytes): bytes.count == 4 ? .a : .aaaa
        case .name(_, let type): type
        case .service: .srv
        case .text: .txt
        case .authority: .soa
        }
    }
}

/// The parts of a query that matter to the server.
struct DNSQuery: Sendable {
    var id: UInt16
    var isRecursionDesired: Bool
    var question: DNSQuestion
    /// What the client can receive by UDP: 512, or what its OPT record says (RFC 6891).
    var payloadSize: Int
    var hasOptions: Bool
}

/// Why a datagram is no query that can be answered.
struct DNSFormatError: Error, Sendable {
    /// The id to answer with; nil when not even that could be read.
    var id: UInt16?
    var code: DNSResponseCode
}

/// A response before it is encoded.
struct DNSResponse: Sendable {
    var code: DNSResponseCode = .noError
    var isAuthoritative = true
    var answers: [DNSRecord] = []
    var authority: [DNSRecord] = []
    /// What the client would ask next; left out where there is no room.
    var additional: [DNSRecord] = []
}
