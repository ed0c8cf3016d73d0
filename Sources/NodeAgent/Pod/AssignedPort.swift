import JSON

/// A host port that the scheduler chose for a pod which asked by annotation.
///
/// `ports.apus.dev/request` lists what is asked for, `ports.apus.dev/assigned` the numbers in the same order. Probes name
/// such a port `ports.apus.dev/<index>` or by the name of the request.
struct AssignedPort: Sendable, Hashable {
    private static let requestKey = "ports.apus.dev/request"
    private static let assignedKey = "ports.apus.dev/assigned"

    var index: Int
    /// Empty when the request has none.
    var name: String
    /// `TCP`, `UDP` or both.
    var transports: [String]
    var hostPort: Int
    /// In a pod with a network of its own, where the host port leads; nil: it leads nowhere.
    var containerPort: Int?

    /// The ports of a pod; none for pods without the annotation.
    static func all(_ annotations: [String: String]) -> [AssignedPort] {
        guard let assigned = annotations[assignedKey] else { return [] }
        let requests = annotations[requestKey].flatMap { try? JSON.parse($0).elements } ?? []
        return assigned.split(separator: ",").enumerated().compactMap { index, text in
            guard let port = Int(text.filter { $0 != " " }), (1...65535).contains(port) else { return nil }
            let request = index < requests.count ? requests[index] : .null
            let transports = (request["protocol"].string ?? "tcp").uppercased().split(separator: ",")
            // Container port 0 means: the same number as on the host.
            let inside = request["containerPort"].int.map { $0 == 0 ? port : $0 }
            return AssignedPort(
                index: index, name: request["name"].string ?? "",
                transports: transports.map { String($0.filter { $0 != " " }) }, hostPort: port, containerPort: inside)
        }
    }

    /// How probes may name it.
    var names: [String] { ["ports.apus.dev/\(index)"] + (name.isEmpty ? [] : [name]) }

    /// Where a program in the pod listens.
    func listening(onHost: Bool) -> Int { onHost ? hostPort : containerPort ?? hostPort }
}
