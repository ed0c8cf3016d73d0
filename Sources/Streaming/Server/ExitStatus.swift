import JSON
import ObjectModel

/// The final message of exec and attach: how the program ended.
enum ExitStatus {
    /// The bytes for the error channel, nil when there is nothing to say.
    ///
    /// - Parameter isStructured: the protocol (v4 and later) carries a `Status` object; before that, only failures are
    ///   told, as text.
    static func message(_ exit: ProcessExit, isStructured: Bool) -> [UInt8]? {
        guard isStructured else {
            switch exit {
            case .code(0): return nil
            case .code(let code): return Array("command terminated with exit code \(code)".utf8)
            case .failed(let why): return Array(why.utf8)
            }
        }
        return status(exit).encoded()
    }

    static func message(_ error: any Error, isStructured: Bool) -> [UInt8] {
        let status = (error as? StatusError) ?? StatusError.internalError("\(error)")
        return isStructured ? status.json.encoded() : Array(status.message.utf8)
    }

    private static func status(_ exit: ProcessExit) -> JSON {
        switch exit {
        case .code(0):
            return ["metadata": [:], "status": "Success"]
        case .code(let code):
            return [
                "metadata": [:], "status": "Failure",
                "message": JSON.string("command terminated with non-zero exit code: exit code \(code)"),
                "reason": "NonZeroExitCode",
                "details": ["causes": [["reason": "ExitCode", "message": JSON.string("\(code)")]]],
            ]
        case .failed(let why):
            return StatusError.internalError(why).json
        }
    }

    /// Reads what a server wrote to the error stream.
    ///
    /// - Parameter bytes: all of the error stream; empty when the server had nothing to say.
    static func parse(_ bytes: [UInt8]) -> ProcessExit {
        guard let first = bytes.first else { return .code(0) }
        guard first == UInt8(ascii: "{"), let status = try? JSON.parse(bytes) else {
            return .failed(String(decoding: bytes, as: UTF8.self))
        }
        if status["status"].string == "Success" { return .code(0) }
        var message = status["message"].string ?? "the runtime gives no reason"
        // What an InternalError's message starts with; it is put back when the failure is told on.
        let prefix = "Internal error occurred: "
        if message.hasPrefix(prefix) { message.removeFirst(prefix.count) }
        guard status["reason"].string == "NonZeroExitCode" else { return .failed(message) }
        for cause in status["details"]["causes"].elements where cause["reason"].string == "ExitCode" {
            if let code = cause["message"].string.flatMap({ Int($0) }) { return .code(code) }
        }
        return .failed(message)
    }
}

/// Message of the resize channel: `{"Width":80,"Height":24}`.
struct TerminalSize: Sendable, Hashable {
    var width: UInt16
    var height: UInt16

    /// Nil when it is something else; zero sizes too, which mean nothing.
    init?(_ bytes: [UInt8]) {
        guard bytes.count <= 1024, let json = try? JSON.parse(bytes),
            let width = json["Width"].int.flatMap({ UInt16(exactly: $0) }),
            let height = json["Height"].int.flatMap({ UInt16(exactly: $0) }), width > 0, height > 0
        else { return nil }
        self.width = width
        self.height = height
    }

    init(width: UInt16, height: UInt16) {
        self.width = width
        self.height = height
    }

    var encoded: [UInt8] { Array("{\"Width\":\(width),\"Height\":\(height)}\n".utf8) }
}
