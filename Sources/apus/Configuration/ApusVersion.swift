/// The versions that Apus tells.
enum ApusVersion {
    /// Apus's own.
    static let number = "0.1.0"
    /// The Kubernetes API level that is served.
    static let kubernetes = "v1.36.2"
    /// The Mesos level that is served: digits and dots only, as clients read it as numbers.
    static let mesos = "1.12.0"
    static let text = "apus \(number) (Kubernetes API \(kubernetes))"
}
