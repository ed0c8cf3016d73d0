import Ledger

/// The free ports of one node, for pods that do not care which they get.
struct PortChoice {
    private var isTaken: [String: [Bool]] = ["TCP": PortChoice.none, "UDP": PortChoice.none]
    private static let none = [Bool](repeating: false, count: PortRequest.range.count)

    init(_ ports: [HostPort], _ ranges: [ClosedRange<Int>]) {
        for port in ports { take(port.port, port.transport) }
        for range in ranges where range.overlaps(PortRequest.range) {
            for port in range.clamped(to: PortRequest.range) {
                take(port, "TCP")
                take(port, "UDP")
            }
        }
    }

    private mutating func take(_ port: Int, _ transport: String) {
        guard PortRequest.range.contains(port) else { return }
        isTaken[transport]?[port - PortRequest.range.lowerBound] = true
    }

    /// A port for each request, fixed ones as they are; nil when there are not enough.
    /// - Parameter start: where the search begins; a different one each time keeps a port that was just let go unused
    ///   for a while.
    mutating func choose(_ template: PodTemplate, start: Int = 0) -> [Int]? {
        for port in template.hostPorts { take(port.port, port.transport) }
        var result: [Int] = []
        var next = start % PortRequest.range.count
        for request in template.portRequests {
            guard request.port == 0 else {
                result.append(request.port)
                continue
            }
            let count = PortRequest.range.count
            guard
                let offset = (0..<count).first(where: { step in
                    let index = (next + step) % count
                    return request.transports.allSatisfy { isTaken[$0]?[index] == false }
                })
            else { return nil }
            let port = PortRequest.range.lowerBound + (next + offset) % count
            for transport in request.transports { take(port, transport) }
            result.append(port)
            next = (next + offset + 1) % count
        }
        return result
    }
}
