import Glibc
import HTTPWindow
import Logging
import ObjectModel

/// Log lines for people and collectors: time, level, component, message, then the variables.
struct PlainLogHandler: LogHandler {
    private var ownLevel = Logger.Level.info
    var logLevel: Logger.Level {
        get { LogVerbosity.effective(ownLevel) }
        set { ownLevel = newValue }
    }
    var metadata: Logger.Metadata = [:]
    private let label: String

    init(label: String) {
        self.label = label
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var line = "\(Timestamp.now.rfc3339Micro) \(event.level.rawValue.uppercased()) \(label): \(event.message)"
        let variables = metadata.merging(event.metadata ?? [:]) { _, new in new }
        for key in variables.keys.sorted() { line += " \(key)=\"\(variables[key].map { "\($0)" } ?? "")\"" }
        line += "\n"
        // One write per line keeps lines of several threads apart.
        _ = line.withCString { write(STDERR_FILENO, $0, strlen($0)) }
    }
}
