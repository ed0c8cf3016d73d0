import HTTPWindow
import JSON
import MesosModel
import ObjectModel
import Streaming

/// An answer that is a stream of `ProcessIO` records.
struct StreamAnswer: Sendable {
    let format: MesosFormat
    private let headers: [(name: String, value: String)]

    /// - Throws: 406 when the client takes no such stream.
    init(_ request: WindowRequest) throws {
        let accept = request.header("accept") ?? "*/*"
        if ContentTypes.accepts(accept, ContentTypes.recordIO) {
            format = try ContentTypes.accepted(request, header: "message-accept")
            headers = [("Content-Type", ContentTypes.recordIO), ("Message-Content-Type", format.contentType)]
        } else {
            format = try ContentTypes.accepted(request)
            headers = [("Content-Type", format.contentType)]
        }
    }

    func response(_ stream: @escaping @Sendable (WindowWriter) async throws -> Void) -> WindowResponse {
        WindowResponse(headers: headers, stream: stream)
    }

    /// Writes what a container writes, to its end.
    func write(_ output: OutputLog, isPacing: Bool, to writer: WindowWriter) async throws {
        var number = 0
        while let (piece, next) = await output.next(from: number, isPacing: isPacing) {
            number = next
            try await writer.write(try record(piece))
        }
        try Task.checkCancellation()
    }

    func record(_ piece: ProcessOutput) throws -> [UInt8] {
        let name =
            switch piece {
            case .standardOutput: "STDOUT"
            case .standardError: "STDERR"
            }
        let message: JSON = [
            "type": "DATA", "data": ["type": .string(name), "data": .string(Base64.encode(piece.bytes))],
        ]
        return RecordWriter.frame(try MesosCodec.encode(message, as: "mesos.v1.agent.ProcessIO", format: format))
    }
}
