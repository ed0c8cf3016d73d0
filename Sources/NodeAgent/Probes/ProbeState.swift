/// Counts the outcomes of one probe of one container until they decide something.
struct ProbeState: Sendable {
    let successThreshold: Int
    let failureThreshold: Int
    private var last: Bool?
    private var run = 0

    init(_ probe: Probe) {
        successThreshold = probe.successThreshold
        failureThreshold = probe.failureThreshold
    }

    /// Notes an outcome.
    /// - Returns: the result once the threshold is reached, nil while it stays as it was.
    mutating func record(_ isSuccess: Bool) -> Bool? {
        if last == isSuccess {
            run += 1
        } else {
            last = isSuccess
            run = 1
        }
        if isSuccess { return run >= successThreshold ? true : nil }
        return run >= failureThreshold ? false : nil
    }
}

/// How one execution of a probe went.
enum ProbeOutcome: Sendable, Hashable {
    case success
    /// Success with something to say, for example a redirect to another host.
    case warning(String)
    case failure(String)
    /// The probe itself could not be carried out; counts as nothing.
    case unknown(String)
}
